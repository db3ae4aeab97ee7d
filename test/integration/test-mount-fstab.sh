#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mount -t fuse.dstfs takes what a line of fstab says.
. "$SRC/test/lib.sh"

need_root
need_fuse
truncate -s 8M img
start_dstd --export "vol0=$T/img"
cat >dstfs.conf <<CONF
[volume data]
node = dst://127.0.0.1:$PORT/vol0
CONF
mkdir "$MNT"
MOUNTS+=("$MNT")
PATH=$BUILD:$PATH mount -t fuse.dstfs "$T/dstfs.conf" "$MNT" -o _netdev,nofail,ro,pidfile="$T/pid"
is_mounted "$MNT" || fail "not mounted"
DAEMONS+=("$(cat pid)")
expect "fuse.dstfs $T/dstfs.conf" findmnt -n -r -o FSTYPE,SOURCE "$MNT"
wait_online "$MNT/data"
expect EROFS call "$MNT/data" rw
umount "$MNT"
wait_until 15 gone "${DAEMONS[-1]}"
