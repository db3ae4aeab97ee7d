#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that is down at start fails no mount: size 0, ENOTCONN at open, and the volume comes by itself.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 8M img up
start_dstd --export "up=$T/up"
cat >dstfs.conf <<CONF
[volume down]
node = dst+unix:///vol0?socket=$T/socket
[volume up]
node = dst://127.0.0.1:$PORT/up
CONF
start_dstfs "$T/dstfs.conf"
expect "down up" ls "$MNT"
expect 0 within 2 python3 "$SRC/test/tools/call.py" "$MNT/down" path size
expect ENOTCONN within 2 python3 "$SRC/test/tools/call.py" "$MNT/down" rw
wait_online "$MNT/up"
expect "4096 4096" call "$MNT/up" rw write:0:4k:7 read:0:4k:7
within 2 stat -f "$MNT" >/dev/null

start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
wait_online "$MNT/down"
expect "4096 4096" call "$MNT/down" rw write:0:4k:7 read:0:4k:7
stop_dstfs
