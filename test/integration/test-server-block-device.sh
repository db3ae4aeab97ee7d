#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A block device is an export like a file, with its size.
. "$SRC/test/lib.sh"

need_loop
truncate -s 32M disk
attach_loop "$T/disk"
start_dstd --export "vol0=$LOOP"
start_dstfs "dst://127.0.0.1:$PORT/vol0"
VOL=$MNT/vol0
wait_online "$VOL"
expect "33554432 0 ENOSPC" call "$VOL" rw end read:32m:4k write:32m:4k:7
verified_fio --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bs=4k --size=32m --io_size=8m
expect "1048576 ok 1048576 ok" call "$VOL" rw write:1m:1m:7 fallocate:punch+keep:1m:1m \
	read:1m:1m:0 fsync
expect "4096 4096 ok" call "$VOL" rw write:0:4k:7 read:0:4k:7 fsync
stop_dstfs
stop_dstd
expect 4096 call "$T/disk" ro read:0:4k:7
