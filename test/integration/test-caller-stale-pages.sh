#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What another client wrote is seen after the next open of a shared or read-only volume, and at once with cache=none.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 4M img
start_dstd --export "vol0=$T/img,shared" # else the second could not write
start_dstfs "dst://127.0.0.1:$PORT/vol0" -o cache=none
other=$MNT/vol0
wait_online "$other"
reads() { # EXPECTED-BYTE, through the file that is open as 3
	[ "$(dd bs=4k count=1 status=none <&3 | tr -d "\\00$1" | wc -c)" -eq 0 ]
}
for options in cache=auto,shared cache=auto,ro cache=none; do
	expect "4096 ok" call "$other" rw write:0:4k:1 fsync
	MNT=$T/second
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o "$options"
	wait_online "$MNT/vol0"
	expect 4096 call "$MNT/vol0" ro read:0:4k:1
	expect "4096 ok" call "$other" rw write:0:4k:2 fsync
	expect 4096 call "$MNT/vol0" ro read:0:4k:2
	if [ "$options" = cache=none ]; then
		exec 3<"$MNT/vol0"
		expect "4096 ok" call "$other" rw write:0:4k:3 fsync
		reads 3 || fail "an old page without a page cache"
		exec 3<&-
	fi
	stop_dstfs
done
