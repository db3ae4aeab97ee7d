#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A full backend is ENOSPC, a failing one EIO, at the caller, and the rest goes on.
. "$SRC/test/lib.sh"

need_root
need_fuse
mount_on "$T/small" -t tmpfs -o size=2M tmpfs
truncate -s 16M small/img
IMG=$T/small/img
start_dstd --export "vol0=$IMG"
start_dstfs "dst://127.0.0.1:$PORT/vol0"
VOL=$MNT/vol0
wait_online "$VOL"
expect "1048576" call "$VOL" rw,direct write:0:1m:7
expect_match "No space left" dd if=/dev/zero of="$VOL" bs=256k count=16 seek=8 oflag=direct conv=notrunc
expect "1048576 ok" call "$VOL" rw,direct read:0:1m:7 fallocate:punch+keep:0:1m
expect "4096 4096" call "$VOL" rw,direct write:0:4k:9 read:0:4k:9
stop_dstfs
stop_dstd
