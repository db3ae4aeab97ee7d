#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fio finds what it wrote: O_DIRECT, libaio at depth 32, mixed sizes, several jobs, both cache modes.
# timeout: 120
. "$SRC/test/lib.sh"

for cache in none auto; do
	rm -f "$T/img"
	serve 1G -o cache=$cache
	verified_fio --ioengine=libaio --direct=1 --iodepth=32 --rw=randwrite --bs=4k --size=1G --io_size=32m
	verified_fio --ioengine=libaio --direct=1 --iodepth=32 --rw=randrw --bsrange=4k-1m --size=1G \
		--io_size=96m
	verified_fio --ioengine=libaio --direct=1 --iodepth=8 --rw=write --bs=1m --size=64m --numjobs=3 \
		--offset_increment=128m
	stop_dstfs
	stop_dstd
done
