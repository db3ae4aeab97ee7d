#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# While the server is frozen under load ls, stat, umount -l and SIGTERM stay quick, and a SIGKILLed reader, writer and fsync are gone within a second.
# timeout: 120
. "$SRC/test/lib.sh"

# What was killed may still be under way.
inflight() {
	counter dstfs "$DSTFS_PID" inflight
}
waits() {
	[ "$(inflight)" -gt "$before" ]
}

for workers in 1 3; do
	rm -rf img "${STATE_DIRECTORY:?}"/*
	serve 64M -o workers=$workers,resends=forever --stop-timeout=2s
	expect 4096 call "$VOL" rw,direct write:0:4k:1
	kill -STOP "$DSTD_PID"
	within 1 ls -l "$MNT" >/dev/null
	within 1 stat "$VOL" >/dev/null
	within 1 stat -f "$MNT" >/dev/null
	# One after the other: the kernel keeps writers unkillable while an fsync of the same file waits.
	for operation in write:1m:1m:7 read:0:1m fsync; do
		before=$(inflight)
		background python3 "$SRC/test/tools/call.py" "$VOL" rw,direct $operation
		wait_until 10 waits || fail "$operation did not wait"
		begin=$(milliseconds)
		kill -KILL "$JOB"
		wait_until 5 gone "$JOB" || fail "$operation can't be killed"
		took=$(($(milliseconds) - begin))
		[ $took -lt 1000 ] || fail "$operation took $took ms to die"
		result "workers $workers: a killed $operation was gone after $took ms"
	done
	before=$(inflight)
	background python3 "$SRC/test/tools/call.py" "$VOL" rw,direct write:2m:64k:7
	wait_until 10 waits || fail "a writer did not wait"
	begin=$(milliseconds)
	within 2 umount -l "$MNT"
	kill -TERM "$DSTFS_PID"
	wait_until 8 gone "$DSTFS_PID" || fail "SIGTERM does not end dstfs"
	took=$(($(milliseconds) - begin))
	result "workers $workers: umount -l and SIGTERM took $took ms, with stop_timeout=2s"
	[ $took -lt 6000 ] || fail "they took $took ms"
	expect_match 'acknowledged bytes may not be durable' cat "$DSTFS_LOG"
	wait_until 5 gone "$JOB" || fail "a caller still waits"
	kill -CONT "$DSTD_PID"
	stop_dstd
done
