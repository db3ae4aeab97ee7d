#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An ordinary user mounts, makes a file system, copies and unmounts, with a server of his own.
. "$SRC/test/lib.sh"

need_tool mke2fs e2fsck
as_ordinary_user
img=${MNT%/mnt}/img
"${AS[@]}" truncate -s 64M "$img"
start_dstd --export "vol0=$img"
start_dstfs "dst://127.0.0.1:$PORT/vol0"
wait_online "$MNT/vol0"
[ "$(id -u)" -ne 0 ] || ! ls "$MNT" 2>/dev/null || fail "root sees another user's mount"
"${AS[@]}" dd if=/dev/urandom of="$MNT/vol0" bs=1M count=8 conv=notrunc,fsync status=none
expect "$(stat -c %u "${MNT%/mnt}")" "${AS[@]}" stat -c %u "$MNT/vol0"
"${AS[@]}" mke2fs -q -F -t ext4 -d "$SRC/man" "$MNT/vol0" 2>/dev/null ||
	"${AS[@]}" mke2fs -q -F -t ext4 "$MNT/vol0"
"${AS[@]}" e2fsck -f -n "$MNT/vol0"
"${AS[@]}" cp "$MNT/vol0" "${MNT%/mnt}/copy"
stop_dstfs
cmp "$img" "${MNT%/mnt}/copy"
stop_dstd
