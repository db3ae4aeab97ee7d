#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fio finds what it wrote: buffered, O_SYNC, memory mapped, odd sizes, both cache modes.
# timeout: 120
. "$SRC/test/lib.sh"

for cache in none auto; do
	rm -f "$T/img"
	serve 256M -o cache=$cache
	verified_fio --ioengine=psync --rw=randwrite --bs=4k --size=256m --io_size=16m --fsync=64
	verified_fio --ioengine=psync --rw=randwrite --bsrange=512-200k --bs_unaligned=1 --size=256m \
		--io_size=32m --end_fsync=1
	verified_fio --ioengine=psync --sync=1 --rw=randwrite --bs=8k --size=256m --io_size=4m
	[ $cache = none ] ||
		verified_fio --ioengine=mmap --rw=randwrite --bs=4k --size=64m --io_size=8m --end_fsync=1
	stop_dstfs
	stop_dstd
done
