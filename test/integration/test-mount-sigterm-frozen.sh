#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM with a frozen server ends within stop_timeout: callers get EIO, status 3 and a line tell what may be lost, SIGHUP changes nothing.
. "$SRC/test/lib.sh"

for workers in 1 3; do
	rm -f "$T/img"
	serve 64M -o workers=$workers,stop_timeout=2s
	expect "1048576" call "$VOL" rw write:0:1m:7
	kill -STOP "$DSTD_PID"
	call "$VOL" rw write:8m:1m:7 >call.log &
	caller=$!
	sleep 0.5
	kill -TERM "$DSTFS_PID"
	sleep 0.5
	kill -HUP "$DSTFS_PID"
	wait_until 5 gone "$DSTFS_PID" || fail "dstfs still runs after stop_timeout"
	expect_status 3 wait "$DSTFS_PID"
	wait_until 2 gone "$caller" || fail "the caller still waits"
	expect "EIO" cat call.log
	expect_match 'volume vol0: 1048576 acknowledged bytes may not be durable' cat "$DSTFS_LOG"
	! grep -q '^fuse:' "$DSTFS_LOG" || fail "libfuse complains: $(cat "$DSTFS_LOG")"
	! is_mounted "$MNT" || fail "still mounted"
	kill -CONT "$DSTD_PID"
	stop_dstd
done
