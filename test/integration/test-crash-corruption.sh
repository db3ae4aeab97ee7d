#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same through a network that flips and repeats bytes: detected, and no bad data is stored or delivered while dstd crashes too.
# timeout: 200
. "$SRC/test/lib.sh"

need_fuse
seconds=$(long_or 5 60)
truncate -s 64M img
start_dstd --export "vol0=$T/img"
server_port=$PORT
# Prime distances, so that the faults wander through headers and payloads.
start_proxy "$server_port" "up flip 1999993,down flip 1499977,both duplicate 29999999"
start_dstfs "dst://127.0.0.1:$PORT/vol0" -o resends=forever,reconnect=50ms,timeout=2s,workers=3
VOL=$MNT/vol0
wait_online "$VOL"
start_ledger "$seconds"
restarts=0
while sleep 2 && alive "$LEDGER_PID"; do
	kill_dstd
	start_dstd --listen "127.0.0.1:$server_port" --export "vol0=$T/img"
	restarts=$((restarts + 1))
done
end_ledger
detected=$(counter dstfs "$DSTFS_PID" bad_digests)
connects=$(counter dstfs "$DSTFS_PID" connects)
stop_dstfs
stop_dstd
end_proxy
check_ledger img acked
result "$PROXY_SUM, $restarts restarts, $detected bad payloads seen by the client, $connects connects"
[ "$(proxy_count flips)" -gt 20 ] || fail "the proxy hardly flipped a bit"
[ "$detected" -gt 5 ] || fail "hardly a flip was detected"
