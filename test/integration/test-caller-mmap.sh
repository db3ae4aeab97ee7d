#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A shared mapping reads and writes the volume, with and without the page cache.
. "$SRC/test/lib.sh"

for cache in none auto; do
	rm -f "$T/img"
	serve 4M -o cache=$cache
	got=$(call "$VOL" rw mmap:1m:64k:7 mapped:1m:64k:7 | tr '\n' ' ')
	if [ $cache = none ] && [ "$got" = "ENODEV ENODEV " ]; then
		echo "this kernel has no shared mappings of direct files"
	else
		[ "$got" = "ok 65536 " ] || fail "$cache: $got"
		expect "ok" call "$VOL" rw fsync
		expect "65536" call "$IMG" ro read:1m:64k:7
	fi
	stop_dstfs
	stop_dstd
done
