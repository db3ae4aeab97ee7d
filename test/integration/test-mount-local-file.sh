#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file:// node needs no server, and its file is not opened twice.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 8M img
start_dstfs "file://$T/img"
expect "1048576 ok 1048576" call "$MNT/img" rw write:4k:1m:0x5a fsync read:4k:1m:0x5a

mkdir second
within 20 "$DSTFS" --foreground "file://$T/img" "$T/second" >second.log 2>&1 &
DAEMONS+=($!) MOUNTS+=("$T/second")
sleep 2
! [ -s "$T/second/img" ] || fail "a second client opened the same file for writing"
stop_dstfs
cmp -n 1048576 -i 4096:0 img <(head -c 1048576 /dev/zero | tr '\0' '\132')
