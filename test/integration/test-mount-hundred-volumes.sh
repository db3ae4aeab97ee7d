#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A hundred volumes in one mount are listed and usable.
# timeout: 120
. "$SRC/test/lib.sh"

need_fuse
for i in {1..100}; do
	truncate -s 1M "img$i"
	printf '[export e%d]\npath = %s\n' "$i" "$T/img$i" >>dstd.conf
done
start_dstd -c "$T/dstd.conf"
for i in {1..100}; do
	printf '[volume v%d]\nnode = dst://127.0.0.1:%d/e%d\n' "$i" "$PORT" "$i" >>dstfs.conf
done
start_dstfs "$T/dstfs.conf"
expect 100 eval "ls '$MNT' | wc -l"
wait_online "$MNT"/v{1..100}
for i in {1..100}; do
	dd if=<(printf 'this is %03d' "$i") of="$MNT/v$i" conv=notrunc,fsync status=none
done
for i in {1..100}; do
	expect "this is $(printf %03d "$i")" head -c 11 "img$i"
	expect "this is $(printf %03d "$i")" head -c 11 "$MNT/v$i"
done
stop_dstfs
