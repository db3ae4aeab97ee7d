#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Reading past the end gives 0 bytes, across it a short read; writing past it ENOSPC and nothing is written.
. "$SRC/test/lib.sh"

for cache in none auto; do
	rm -f "$T/img"
	serve 1M -o cache=$cache
	for flags in rw rw,direct; do
		expect "0 0 4096 4096" call "$VOL" $flags read:1m:4k read:2m:4k read:1020k:8k read:1020k:4k
		expect "ENOSPC ENOSPC" call "$VOL" $flags write:1m:4k:7 write:5g:4k:7
		expect 4096 call "$VOL" ro read:1020k:4k:0
		expect "4096 1048576" call "$VOL" $flags write:1020k:4k:0 end
	done
	expect "1048576" stat -c %s "$IMG"
	expect_match 'No space' dd if=/dev/zero of="$VOL" bs=64k count=17 conv=notrunc
	stop_dstfs
	stop_dstd
done
