#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# PUNCH_HOLE and ZERO_RANGE with KEEP_SIZE read as zeros and reach the storage; all else of fallocate is EOPNOTSUPP.
. "$SRC/test/lib.sh"

for cache in none auto; do
	rm -f "$T/img"
	serve 4M -o cache=$cache
	expect "4194304 ok" call "$VOL" rw write:0:4m:7 fsync
	full=$(stat -c %b "$IMG")
	expect "ok 1048576 4096 4096" call "$VOL" rw fallocate:punch+keep:1m:1m read:1m:1m:0 \
		read:1020k:4k:7 read:2m:4k:7
	[ "$(stat -c %b "$IMG")" -lt "$full" ] || fail "the hole was not punched in the server's file"
	full=$(stat -c %b "$IMG")
	expect "ok 1000 4096" call "$VOL" rw fallocate:zero+keep:3000000:1000 read:3000000:1000:0 \
		read:3001000:4k:7
	[ "$(stat -c %b "$IMG")" -ge "$full" ] || fail "ZERO_RANGE gave storage back"
	expect "EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP" call "$VOL" rw \
		fallocate:none:0:4k fallocate:keep:0:4k fallocate:zero:0:4k fallocate:collapse:0:4k \
		fallocate:insert:0:4k fallocate:unshare:0:4k
	expect "4194304 4194304" call "$VOL" ro end read:0:4m
	stop_dstfs
	stop_dstd
done
