#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A linear volume grows while it is mounted and used: by nodes at its end after SIGHUP, and with its last node; other changes are told and change nothing.
# timeout: 60
. "$SRC/test/lib.sh"

need_loop
truncate -s 8M a b
truncate -s 6M c
truncate -s 4M d e
start_dstd --listen "unix:$T/socket" --export "a=$T/a" --export "c=$T/c" --workers=2
configure() {
	printf '[dstfs]\nworkers = 2\n[volume v]\nmap = %s\n' "$1" >conf
	shift
	printf 'node = %s\n' "$@" >>conf
}

reload() {
	kill -HUP "$DSTFS_PID"
}

has_size() {
	[ "$(stat -c %s "$1")" -eq $(($2 << 20)) ]
}

A="a dst+unix:///a?socket=$T/socket" C="c dst+unix:///c?socket=$T/socket"
configure linear "$A"
start_dstfs "$T/conf"
VOL=$MNT/v
wait_online "$VOL"
attach_loop "$VOL"
mkfs.ext4 -q -F "$LOOP"
mount_on "$T/disk" "$LOOP"
cp -r "$SRC/common" "$T/disk"

configure linear "$A" "b file://$T/b" "$C"
reload
wait_until 10 has_size "$VOL" 22 || fail "it did not grow: $(cat "$DSTFS_LOG")"
losetup -c "$LOOP"
expect $((22 << 20)) blockdev --getsize64 "$LOOP"
unmount_disk "$T/disk" "$LOOP" # resizing it mounted needs more than a container's root may
e2fsck -f -p "$LOOP" >/dev/null || fail "e2fsck found something"
resize2fs "$LOOP" >out 2>&1 || fail "resize2fs: $(cat out)"
mount_on "$T/disk" "$LOOP"
head -c 14M /dev/urandom >"$T/disk/much"
sync "$T/disk/much"
diff -r "$SRC/common" "$T/disk/common"

# A tree behind it, of which one node isn't there yet; then the last node itself grows.
configure 'linear(a, b, c, linear(d), f)' "$A" "b file://$T/b" "$C" "d file://$T/d" \
	"f dst+unix:///f?socket=$T/socket.f"
reload
wait_until 10 has_size "$VOL" 26 || fail "it did not grow by the tree"
expect_match '^  v +linear +ready' "$DSTCTL" status --socket "$(control_socket dstfs "$DSTFS_PID")"
truncate -s 12M f
start_dstd --listen "unix:$T/socket.f" --export "f=$T/f"
wait_until 20 has_size "$VOL" 38 || fail "it did not grow when the node came"
truncate -s 20M f
kill -HUP "$DSTD_PID"
wait_until 20 has_size "$VOL" 46 || fail "it did not grow with its last node"

# What can't be done while it is mounted.
for wrong in 'linear(b, a, c, linear(d), f)' 'linear(a, b, c, linear(d, f))'; do
	configure "$wrong" "$A" "b file://$T/b" "$C" "d file://$T/d" \
		"f dst+unix:///f?socket=$T/socket.f"
	: >"$DSTFS_LOG"
	reload
	wait_until 5 grep -q 'needs a new mount; only' "$DSTFS_LOG" || fail "not told: $wrong"
done
configure 'linear(a, b, c, linear(d), f, g)' "$A" "b file://$T/b" "$C" "d file://$T/d" \
	"f dst+unix:///f?socket=$T/socket.f" "g file://$T/not-there"
reload
wait_until 5 grep -q 'was not extended: .*not-there' "$DSTFS_LOG" || fail "not told"
has_size "$VOL" 46 || fail "its size changed"
losetup -c "$LOOP"
unmount_disk "$T/disk" "$LOOP"
e2fsck -f -n "$LOOP" >/dev/null 2>&1 || fail "e2fsck found something"
losetup -d "$LOOP"
cmp <(cat a b c d f) "$VOL"
stop_dstfs
