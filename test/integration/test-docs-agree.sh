#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Help, manuals, example and source say the same of options and keys; the example is accepted.
. "$SRC/test/lib.sh"

python3 "$SRC/test/tools/docs.py" "$SRC" "$BUILD"

# As it is, then with every key that is a comment made real.
need_fuse
for edit in '' 's/^#\([a-z_]* *=\)/\1/'; do
	sed "$edit" "$SRC/dstfs.conf.example" >dstfs.conf
	mkdir -p mnt
	status=0
	within 10 "$DSTFS" --foreground "$T/dstfs.conf" "$T/mnt" --mode=99 >out 2>&1 || status=$?
	expect_match 'mode' cat out
	! grep -q 'dstfs.conf:' out || fail "$(cat out)"
done
