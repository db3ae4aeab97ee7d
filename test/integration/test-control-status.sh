#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dstctl status finds the daemons by itself, shows what they serve, and its JSON is JSON.
# alone
. "$SRC/test/lib.sh"

serve 1M
expect "4096" call "$VOL" rw write:0:4k:7
within 30 "$DSTCTL" status >all
expect_match vol0 cat all
for pick in "--mount $MNT" "--socket $(control_socket dstd "$DSTD_PID")"; do
	# shellcheck disable=SC2086 # words
	within 30 "$DSTCTL" status --json $pick >status.json
	python3 -m json.tool status.json >/dev/null || fail "no JSON: $(cat status.json)"
	expect_match vol0 cat status.json
done
expect_match '1048576' cat status.json
sockets="$(control_socket dstd "$DSTD_PID") $(control_socket dstfs "$DSTFS_PID")"
[ "$(wc -w <<<"$sockets")" -eq 2 ] || fail "not two control sockets: $sockets"
[ "$(counter dstfs "$DSTFS_PID" writes)" -ge 1 ] || fail "dstfs did not count a write"
[ "$(counter dstd "$DSTD_PID" writes)" -ge 1 ] || fail "dstd did not count a write"
for socket in $sockets; do
	expect 600 stat -c %a "$socket"
	within 30 "$DSTCTL" status --socket "$socket" >/dev/null
done
stop_dstfs
stop_dstd
for socket in $sockets; do
	[ ! -e "$socket" ] || fail "$socket was left"
done
