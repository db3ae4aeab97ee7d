#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random writes over the whole of a 10 GB image are all found again.
# timeout: 150
. "$SRC/test/lib.sh"

serve 10G
amount=640m
! sanitized || amount=128m
verified_fio --ioengine=libaio --direct=1 --iodepth=32 --rw=randwrite --bsrange=16k-256k --size=10G \
	--io_size=$amount
expect 4096 call "$VOL" rw write:10485756k:4k:7
expect "4096 0" call "$VOL" ro read:10485756k:4k:7 read:10g:4k
stop_dstfs
expect 4096 call "$IMG" ro read:10485756k:4k:7
