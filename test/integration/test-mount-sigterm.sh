#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM unmounts, also under load, and what fsync promised is there.
. "$SRC/test/lib.sh"

need_tool fio
for busy in '' yes; do
	rm -f "$T/img"
	serve 64M
	expect "4096 ok" call "$VOL" rw write:32m:4k:0x5a fsync
	if [ -n "$busy" ]; then
		background fio --name=load --filename="$VOL" --size=16M --rw=randwrite --bs=4k --direct=1 \
			--ioengine=libaio --iodepth=16 --time_based --runtime=60 --output=fio.log
		sleep 1
	fi
	kill -TERM "$DSTFS_PID"
	wait_until 20 gone "$DSTFS_PID" || fail "dstfs still runs after SIGTERM ($busy)"
	! is_mounted "$MNT" || fail "still mounted"
	[ -z "$busy" ] || stop_process "$JOB"
	expect "4096" call "$IMG" ro read:32m:4k:0x5a
	stop_dstd
done
