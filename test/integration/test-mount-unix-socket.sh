#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same over a unix socket.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 8M img
start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
start_dstfs "dst+unix:///vol0?socket=$T/socket"
wait_online "$MNT/vol0"
expect "1048576 ok 1048576" call "$MNT/vol0" rw write:4k:1m:0x5a fsync read:4k:1m:0x5a
stop_dstfs
cmp -n 1048576 -i 4096:0 img <(head -c 1048576 /dev/zero | tr '\0' '\132')
