#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mirror in use grows into nodes that have grown, and so do the loop device and the file system on it; less is refused; killed while it grows, it has the old size or the new one, and lost nothing.
# timeout: 120
. "$SRC/test/lib.sh"
need_loop
need_tool mkfs.ext4 e2fsck resize2fs

ctl() {
	within 60 "$DSTCTL" "$@" --mount "$MNT" </dev/null
}

has_size() { # BYTES
	[ "$(stat -c %s "$MNT/vol0")" -eq "$1" ]
}

# nodes_have BYTES: dstfs knows that all nodes are so large.
nodes_have() {
	ctl status --json | python3 -c "
import json, sys
mirror = json.load(sys.stdin)[0]['volumes'][0]['nodes'][0]
sys.exit(any(n['size'] != $1 for n in mirror['nodes']))"
}

grow() { # MEBIBYTES
	truncate -s "$1M" a.img b.img
	kill -HUP "$DSTD_PID"
	wait_until 15 nodes_have $(($1 << 20)) || fail "the nodes have not grown: $(ctl status)"
}

tail=327680 # bytes, of the mirror's own
truncate -s 32M a.img b.img
start_dstd --export "vol0=$T/b.img,lease=1s"
cat >mirror.conf <<CONF
[volume vol0]
map = mirror
node = a file://$T/a.img
node = b dst://127.0.0.1:$PORT/vol0
timeout = 2s
CONF
within 60 "$DSTCTL" mirror create vol0 --config mirror.conf >/dev/null
start_dstfs mirror.conf
wait_online "$MNT/vol0"
attach_loop "$MNT/vol0"
mkfs.ext4 -q -F "$LOOP"
mount_on "$T/disk" "$LOOP"
cp -r "$SRC/common" "$T/disk"

expect_match "grow all of them first" ctl volume resize vol0
expect_match "or write max" ctl volume resize vol0 much
expect_status 2 ctl volume shrink vol0 2>/dev/null
expect_match "a mirror doesn't shrink" ctl volume resize vol0 16M
truncate -s 64M a.img
sleep 1
expect_match "grow all of them first" ctl volume resize vol0 max
grow 64
expect_match "room for $(((64 << 20) - tail))" ctl volume resize vol0 64M
has_size $(((32 << 20) - tail)) || fail "its size changed"

# While it is written to.
head -c 8M /dev/urandom >"$T/disk/before" &
writer=$!
expect_match "it has 50331648 bytes now" ctl volume resize vol0 48M
wait $writer
has_size $((48 << 20)) || fail "its size is $(stat -c %s "$MNT/vol0")"
expect_match "it has $(((64 << 20) - tail)) bytes now|must be [0-9]+ bytes at least" ctl volume resize vol0
grow 96
expect_match "it has $(((96 << 20) - tail)) bytes now" ctl volume resize vol0 max
wait_until 15 has_size $(((96 << 20) - tail)) || fail "its size is $(stat -c %s "$MNT/vol0")"
losetup -c "$LOOP"
expect $(((96 << 20) - tail)) blockdev --getsize64 "$LOOP"
unmount_disk "$T/disk" "$LOOP" # resizing it mounted needs more than a container's root may
e2fsck -f -p "$LOOP" >/dev/null || fail "e2fsck found something"
resize2fs "$LOOP" >out 2>&1 || fail "resize2fs: $(cat out)"
mount_on "$T/disk" "$LOOP"
head -c 40M /dev/urandom >"$T/disk/much"
sync "$T/disk/much"
diff -r "$SRC/common" "$T/disk/common"
unmount_disk "$T/disk" "$LOOP"
losetup -d "$LOOP"
stop_dstfs
cmp -n $(((96 << 20) - tail)) a.img b.img
e2fsck -f -n a.img >out 2>&1 || fail "e2fsck: $(cat out)"

# Killed at some moment of it.
size=96
for round in 1 2; do
	sum=$(head -c 80M a.img | sha256sum)
	start_dstfs mirror.conf
	wait_online "$MNT/vol0"
	size=$((size + 16))
	grow $size
	"$DSTCTL" volume resize vol0 --mount "$MNT" >/dev/null 2>&1 &
	ctl=$!
	sleep 0.0$((round * 2 - 1))
	kill -KILL "$DSTFS_PID"
	wait "$DSTFS_PID" $ctl 2>/dev/null || true
	unmount_if_mounted "$MNT"
	start_dstfs mirror.conf
	wait_online "$MNT/vol0"
	wait_until 30 "$DSTCTL" is vol0 in-sync --mount "$MNT" || fail "not in sync: $(ctl status)"
	has_size $(((size << 20) - tail)) || ctl volume resize vol0 >out 2>&1 || fail "$(cat out)"
	wait_until 15 has_size $(((size << 20) - tail)) || fail "its size is $(stat -c %s "$MNT/vol0")"
	stop_dstfs
	[ "$sum" = "$(head -c 80M a.img | sha256sum)" ] || fail "data was changed"
	cmp -n $(((size << 20) - tail)) a.img b.img
done
