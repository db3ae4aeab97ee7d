#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An I/O error of the disk reaches the caller as EIO, others go on.
. "$SRC/test/lib.sh"

need_root
need_fuse
need_tool nbdkit nbdfuse
mkdir nbd
MOUNTS+=("$T/nbd")
background nbdfuse "$T/nbd" --command nbdkit --exit-with-parent -s --filter=error memory 16M \
	error-pwrite=EIO error-pwrite-rate=100% "error-file=$T/broken"
wait_until 10 test -f nbd/nbd
start_dstd --export "vol0=$T/nbd/nbd"
start_dstfs "dst://127.0.0.1:$PORT/vol0" -o cache=none
wait_online "$MNT/vol0"
expect "4096 4096" call "$MNT/vol0" rw write:0:4k:7 read:0:4k:7
touch broken
expect "EIO 4096" call "$MNT/vol0" rw write:0:4k:8 read:0:4k:7
rm broken
expect "4096 4096" call "$MNT/vol0" rw write:0:4k:8 read:0:4k:8
stop_dstfs
stop_dstd
