#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dstctl status finds the daemons by itself, shows what they serve, and its JSON is JSON.
. "$SRC/test/lib.sh"

serve 1M
expect "4096" call "$VOL" rw write:0:4k:7
within 5 "$DSTCTL" status >all
expect_match vol0 cat all
for pick in "--mount $MNT" ""; do
	# shellcheck disable=SC2086 # words
	within 5 "$DSTCTL" status --json $pick >status.json
	python3 -m json.tool status.json >/dev/null || fail "no JSON: $(cat status.json)"
	expect_match vol0 cat status.json
done
expect_match '1048576' cat status.json
sockets=$(find "$XDG_RUNTIME_DIR/dstfs" /run/dstfs -name '*.sock' 2>/dev/null |
	grep -E "(dstd-$DSTD_PID|dstfs-$DSTFS_PID)\.sock")
[ "$(wc -w <<<"$sockets")" -eq 2 ] || fail "not two control sockets: $sockets"
for socket in $sockets; do
	expect 600 stat -c %a "$socket"
	within 5 "$DSTCTL" status --socket "$socket" >/dev/null
done
stop_dstfs
stop_dstd
for socket in $sockets; do
	[ ! -e "$socket" ] || fail "$socket was left"
done
