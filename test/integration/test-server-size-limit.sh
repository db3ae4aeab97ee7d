#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# size= offers a part of the file, and what lies behind it stays untouched.
. "$SRC/test/lib.sh"

need_fuse
head -c 4M /dev/zero | tr '\0' '\007' >img
printf '[export vol0]\npath = %s\nsize = 1M\n' "$T/img" >dstd.conf
start_dstd -c "$T/dstd.conf"
start_dstfs "dst://127.0.0.1:$PORT/vol0"
wait_online "$MNT/vol0"
expect "1048576 4096 0 ENOSPC ok 1048576" call "$MNT/vol0" rw end write:1020k:4k:9 read:1m:4k \
	write:1m:4k:9 fallocate:zero+keep:0:1m read:0:1m:0
stop_dstfs
expect "4194304 1048576 3145728" call "$T/img" ro end read:0:1m:0 read:1m:3m:7
