#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM with a frozen server ends within stop_timeout: callers get EIO, status 3 and a line tell what may be lost, SIGHUP changes nothing.
. "$SRC/test/lib.sh"

# The volume counts all four, the lane the one that is under way.
all_wait() {
	[ "$(counter dstfs "$DSTFS_PID" inflight)" -eq 5 ]
}

for workers in 1 3; do
	rm -f "$T/img"
	serve 64M -o workers=$workers,stop_timeout=2s
	expect "1048576" call "$VOL" rw write:0:1m:7
	kill -STOP "$DSTD_PID"
	callers=()
	for i in 1 2 3 4; do # one is under way, the others wait for its range
		call "$VOL" rw write:8m:1m:$i >call.$i &
		callers+=($!)
	done
	wait_until 15 all_wait || fail "the callers don't wait: $(counter dstfs "$DSTFS_PID" inflight)"
	kill -TERM "$DSTFS_PID"
	sleep 0.5
	kill -HUP "$DSTFS_PID"
	wait_until 5 gone "$DSTFS_PID" || fail "dstfs still runs after stop_timeout"
	expect_status 3 wait "$DSTFS_PID"
	for caller in "${callers[@]}"; do
		wait_until 2 gone "$caller" || fail "a caller still waits"
	done
	expect "EIO EIO EIO EIO" cat call.1 call.2 call.3 call.4
	expect_match 'volume vol0: 1048576 acknowledged bytes may not be durable' cat "$DSTFS_LOG"
	! grep -q '^fuse:' "$DSTFS_LOG" || fail "libfuse complains: $(cat "$DSTFS_LOG")"
	! is_mounted "$MNT" || fail "still mounted"
	kill -CONT "$DSTD_PID"
	stop_dstd
done
