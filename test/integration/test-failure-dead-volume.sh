#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A volume whose server is frozen slows no other volume of the mount, nor metadata.
# alone
. "$SRC/test/lib.sh"

need_tool fio
need_fuse
truncate -s 64M live dead
start_dstd --export "live=$T/live"
live_port=$PORT live_pid=$DSTD_PID
start_dstd --export "dead=$T/dead"
cat >dstfs.conf <<CONF
[volume live]
node = dst://127.0.0.1:$live_port/live
[volume dead]
node = dst://127.0.0.1:$PORT/dead
CONF
start_dstfs "$T/dstfs.conf"
wait_online "$MNT/live" "$MNT/dead"
iops() {
	fio --name=job --filename="$MNT/live" --rw=randwrite --bs=4k --size=64m --direct=1 --ioengine=libaio \
		--iodepth=16 --time_based --runtime=3 --output-format=terse --terse-version=3 | cut -d';' -f49
}
before=$(iops)
kill -STOP "$DSTD_PID"
# Eight times what a volume may have on its way (max_inflight).
background fio --name=job --filename="$MNT/dead" --rw=randwrite --bs=4k --size=64m --direct=1 \
	--ioengine=libaio --iodepth=512 --numjobs=4 --thread --time_based --runtime=60 --output=/dev/null
stuck=$JOB
sleep 1
during=$(iops)
echo "IOPS before $before, during $during"
[ "$during" -gt $((before / 2)) ] || fail "the live volume fell from $before to $during IOPS"
within 1 ls -l "$MNT"
within 1 stat "$MNT/dead" >/dev/null
kill -CONT "$DSTD_PID"
kill -TERM "$stuck"
wait_until 15 gone "$stuck" || fail "fio does not end"
alive "$live_pid"
stop_dstfs
