#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every long option of dstfs works as -o too; the help goes to stdout with status 0.
. "$SRC/test/lib.sh"

for program in "$DSTFS" "$DSTD" "$DSTCTL"; do
	expect_status 0 within 5 "$program" --help >help 2>error
	[ -s help ] || fail "$program --help says nothing on stdout"
	[ ! -s error ] || fail "$program --help writes to stderr"
	expect_match '[0-9]+\.[0-9]+\.[0-9]+' within 5 "$program" --version
done

# What takes no value is set, what takes one gets a wrong one: a known option complains of the value.
mkdir mnt
"$DSTFS" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE '[a-z-]+$' | sed 's/^-*//' |
	grep -vxE 'help|version|foreground|debug|verbose|config|options?' >names
[ "$(wc -l <names)" -ge 10 ] || fail "no options found in the help"
while read -r name; do
	for form in "--$name" "-o ${name//-/_}"; do
		# shellcheck disable=SC2086 # the form is one or two words
		within 5 "$DSTFS" "file://$T/nothing" "$T/nowhere" $form=%%% >out 2>&1 || true
		! grep -qiE "(unknown|no) option" out || fail "$form is unknown: $(cat out)"
	done
done <names
