#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A write stalls on its way, wholly, in part or answered in vain; it is sent again over another connection, a later one over its place is acknowledged; when the first arrives at last, the later one stays.
# timeout: 1800
. "$SRC/test/lib.sh"

need_fuse
rounds=$(long_or 12 300)
truncate -s 16M img
start_dstd --export "vol0=$T/img"
start_proxy "$PORT"
start_dstfs "dst://127.0.0.1:$PORT/vol0" \
	-o resends=forever,timeout=150ms,reconnect=10ms,ping=100ms,ping_timeout=150ms
VOL=$MNT/vol0
wait_online "$VOL"
for ((round = 1; round <= rounds; round++)); do
	offset=$((round % 100 * 128))k
	case $((round % 3)) in
	0) proxy up stall ;;
	1) proxy up stall $((round * 7919 % 65536)) ;; # somewhere in the middle
	2) proxy down stall ;; # carried out, and not answered
	esac
	expect "65536 65536" call "$VOL" rw,direct "write:$offset:64k:$((round % 100 + 1))" \
		"write:$offset:64k:$((round % 100 + 101))"
	proxy both go
	expect "65536 ok" call "$VOL" rw,direct "read:$offset:64k:$((round % 100 + 101))" fsync
	expect 65536 call img ro "read:$offset:64k:$((round % 100 + 101))"
done
connects=$(counter dstfs "$DSTFS_PID" connects)
stop_dstfs
stop_dstd
# Each that was still to come has come by now.
for ((round = rounds > 100 ? rounds - 99 : 1; round <= rounds; round++)); do
	expect 65536 call img ro "read:$((round % 100 * 128))k:64k:$((round % 100 + 101))"
done
end_proxy
result "$rounds rounds, $connects connections; $PROXY_SUM"
[ "$connects" -gt $((rounds / 2)) ] || fail "hardly a write was sent again"
