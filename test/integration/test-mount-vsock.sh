#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same over vsock, where the kernel has a local path.
# optional
. "$SRC/test/lib.sh"

need_fuse
[ -e /dev/vsock ] || skip "no vsock here"
python3 - <<'PYTHON' || skip "vsock has no local path here"
import socket
server = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
server.bind((1, 20878))
server.listen()
client = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
client.settimeout(2)
client.connect((1, 20878))
PYTHON
truncate -s 8M img
cat >dstd.conf <<CONF
[export vol0]
path = $T/img
allow = vsock cid * rw
CONF
start_dstd --listen vsock:1:20879 -c "$T/dstd.conf"
start_dstfs dst+vsock://1:20879/vol0
wait_online "$MNT/vol0"
expect "4096 4096" call "$MNT/vol0" rw write:0:4k:7 read:0:4k:7
