#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ext4 on a loop device on the image lives through dozens of server crashes, every other one with the power: no error reaches it, its files are whole, e2fsck is content.
# timeout: 300
. "$SRC/test/lib.sh"

need_loop
need_tool mkfs.ext4
crashes=$(long_or 24 200)
start_power 256M
start() {
	start_dstd --listen "unix:$T/socket" --workers 2 --export "vol0=$POWER/disk"
}
start
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=forever,reconnect=20ms,timeout=2s,workers=2
VOL=$MNT/vol0
wait_online "$VOL"
attach_loop "$VOL" --direct-io=on
mkfs.ext4 -q "$LOOP"
mount_on "$T/disk" -o errors=remount-ro "$LOOP"
cat >work <<'END'
# Copies, compares and removes trees until it is told to end.
set -e
for ((i = 0; ; i++)); do
	[ ! -e "$2" ] || exit 0
	cp -r "$3" "$1/tree.$((i % 4))"
	[ $((i % 5)) -ne 0 ] || sync -f "$1"
	diff -r "$3" "$1/tree.$((i % 4))"
	[ $i -lt 3 ] || rm -r "$1/tree.$(((i + 1) % 4))"
	echo $i >"$1/count"
done
END
mkdir source
cp -r "$SRC/common" "$SRC/server" source
background bash work "$T/disk" "$T/end" "$T/source" >work.log 2>&1
worker=$JOB
for ((i = 1; i <= crashes; i++)); do
	sleep 0.$((i % 5 + 1))
	kill_dstd
	[ $((i % 2)) -eq 0 ] || echo "cut $i" >"$POWER/control"
	start
done
touch end
wait_until 60 gone "$worker" || fail "the file system's user hangs"
wait "$worker" || fail "the file system's user: $(cat work.log)"
result "$crashes crashes, $(cat disk/count) trees; the disk: $(cat "$POWER/control")"
unmount_disk "$T/disk" "$LOOP"
e2fsck -fn "$LOOP" >fsck.log 2>&1 || fail "e2fsck: $(cat fsck.log)"
losetup -d "$LOOP"
stop_dstfs
stop_dstd
e2fsck -fn "$T/durable" >fsck.log 2>&1 || fail "e2fsck of what is durable: $(cat fsck.log)"
