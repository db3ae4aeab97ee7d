#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Without its server dstfs ends on SIGTERM within its stop_timeout, and says how much may not be durable.
. "$SRC/test/lib.sh"

serve 16M --stop-timeout=2s -o resends=forever
expect 8192 call "$VOL" rw,direct write:0:8k:7
kill -KILL "$DSTD_PID"
wait_until 5 gone "$DSTD_PID"
background python3 "$SRC/test/tools/call.py" "$VOL" rw,direct write:0:4k:8
sleep 1
begin=$(milliseconds)
kill -TERM "$DSTFS_PID"
wait_until 10 gone "$DSTFS_PID" || fail "dstfs does not end"
took=$(($(milliseconds) - begin))
[ $took -lt 6000 ] || fail "it took $took ms"
! is_mounted "$MNT" || fail "still mounted"
wait_until 2 gone "$JOB" || fail "a caller still waits"
expect_match '8192|8\.0 KiB' grep -i durable "$DSTFS_LOG"
status=0
wait "$DSTFS_PID" || status=$?
[ $status -ne 0 ] || fail "status 0, although data may be lost"
