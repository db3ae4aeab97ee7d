#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Thousands of asynchronous writes that wait on one frozen volume delay neither statfs nor another volume.
. "$SRC/test/lib.sh"

need_fuse
need_tool fio
truncate -s 64M stuck good
start_dstd --export "good=$T/good"
good_port=$PORT
start_dstd --export "stuck=$T/stuck"
frozen=$DSTD_PID
{
	printf '[volume stuck]\nnode = dst://127.0.0.1:%s/stuck\n' "$PORT"
	for i in {1..20}; do
		printf '[volume good%s]\nshared = yes\nnode = dst://127.0.0.1:%s/good\n' "$i" "$good_port"
	done
} >dstfs.conf
start_dstfs "$T/dstfs.conf"
wait_online "$MNT/stuck" "$MNT/good1"
kill -STOP "$frozen"
background fio --name=load --filename="$MNT/stuck" --size=64M --rw=randwrite --bs=4k --direct=1 \
	--ioengine=libaio --iodepth=6000 --allow_file_create=0 --output=fio.log
sleep 3
alive "$JOB" || fail "fio did not wait: $(cat fio.log)"
within 2 stat -f "$MNT" >/dev/null
expect 4096 within 2 python3 "$SRC/test/tools/call.py" "$MNT/good1" rw,direct write:0:4k:7
kill -CONT "$frozen"
wait "$JOB" || fail "fio: $(cat fio.log)"
stop_dstfs
