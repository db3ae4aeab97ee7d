#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A writer is frozen under load, another takes the export over; thawed, the first changes nothing, fails with EIO and says who took over, until it is attached anew by command.
# tsan
# timeout: 120
. "$SRC/test/lib.sh"

need_fuse
need_tool fio
has_written() {
	[ "$(counter dstfs "$old" writes)" -gt 100 ]
}

for workers in 1 3; do
	rm -f img
	truncate -s 64M img
	start_dstd --workers $workers --export "vol0=$T/img"
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o workers=$workers,resends=forever
	old=$DSTFS_PID old_log=$DSTFS_LOG old_mnt=$MNT
	wait_online "$MNT/vol0"
	background fio --name=load --filename="$MNT/vol0" --size=32M --rw=randwrite --bs=4k --direct=1 \
		--ioengine=libaio --iodepth=32 --time_based --runtime=60 --allow_file_create=0 \
		--output=fio.log
	load=$JOB
	wait_until 15 has_written || fail "the load does not begin: $(cat fio.log)"
	kill -STOP "$old"

	# Without force it is refused, and told why.
	MNT=$T/mnt2
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o workers=$workers,resends=forever
	wait_until 10 grep -q 'held by' "$DSTFS_LOG" || fail "nothing tells who holds it: $(cat "$DSTFS_LOG")"
	! [ -s "$MNT/vol0" ] || fail "a second writer was let in"
	stop_dstfs
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o workers=$workers,resends=forever,takeover
	wait_online "$MNT/vol0"
	head -c 32M /dev/urandom >new
	dd if=new of="$MNT/vol0" bs=1M oflag=direct conv=notrunc,fsync status=none

	kill -CONT "$old"
	wait_until 20 gone "$load" || fail "the old writer's load goes on"
	! wait "$load" || fail "the old writer's load did not fail"
	grep -q 'Input/output error' fio.log || fail "another error than EIO: $(cat fio.log)"
	expect_match 'fenced.*(taken over|took)' cat "$old_log"
	expect "EIO" call "$old_mnt/vol0" rw,direct write:0:4k:7
	sleep 1
	cmp -n 33554432 new img || fail "the old writer has written"
	cmp -n 33554432 new "$MNT/vol0"
	stop_dstfs

	# Nothing but a command brings it back.
	expect "EIO" call "$old_mnt/vol0" rw,direct write:0:4k:7
	"$DSTCTL" reattach vol0 --mount "$old_mnt"
	MNT=$old_mnt
	works() {
		[ "$(call "$MNT/vol0" rw,direct write:0:4k:7)" = 4096 ]
	}
	wait_until 10 works || fail "the first writer is not back: $(cat "$old_log")"
	cmp -n 33550336 -i 4096 new img
	result "workers $workers: fenced; 32 MiB of the second writer unchanged"
	DSTFS_PID=$old
	stop_dstfs
	stop_dstd
done
