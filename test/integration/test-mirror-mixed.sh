#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ext4 on a loop device on mirrors of local and remote nodes, in trees of maps, while nodes come and go: the file system is clean, its files are whole, the sides are equal.
# timeout: 300
. "$SRC/test/lib.sh"
. "$SRC/test/mirror.sh"
need_loop
need_tool mkfs.ext4 e2fsck stress-ng

# conf MAP NODE...: a and those that are local are files, the others have servers.
conf() {
	local node
	printf '[dstfs]\nworkers = 2\n[volume vol0]\nmap = %s\ntimeout = 500ms\nresends = 1\n' "$1"
	printf 'reconnect = 100ms\n'
	for node in "${@:2}"; do
		if [ -n "${NODE_PID[$node]:-}" ]; then
			printf 'node = %s %s\n' "$node" "$(node_uri "$node")"
		else
			printf 'node = %s file://%s/%s.img\n' "$node" "$T" "$node"
		fi
	done
}

# lives_through GROUP...: the file system, while these nodes are killed and come back, a group after the
# other.
lives_through() {
	local node group work
	attach_loop "$VOL" --direct-io=on
	mkfs.ext4 -q -F "$LOOP"
	mount_on "$T/disk" "$LOOP"
	stress-ng --temp-path "$T/disk" --verify --timeout "$(long_or 40 300)" --quiet --oomable \
		--hdd 1 --hdd-bytes 8m --hdd-opts wr-rnd,rd-rnd,fsync --dir 1 --dir-ops 100 \
		--rename 1 --rename-ops 5000 &
	work=$!
	DAEMONS+=("$work")
	cp -r "$SRC/common" "$SRC/dstfs" "$T/disk/"
	for _ in $(seq "$(long_or 1 5)"); do
		for group in "$@"; do
			for node in $group; do
				kill_node "$node"
			done
			wait_told 30 "sum(x['sync'] == 'degraded' for x in mirrors) == $(wc -w <<<"$group")"
			sync -f "$T/disk"
			rm -rf "$T/disk/copy"
			cp -r "$T/disk/common" "$T/disk/copy"
			for node in $group; do
				serve_node "$node" "$T/$node.img"
			done
			wait_sync 90 in-sync
		done
	done
	alive "$work" || wait "$work" || fail "stress-ng found something"
	kill -INT "$work" 2>/dev/null || true
	wait "$work" || fail "stress-ng found something"
	for node in common dstfs; do
		diff -r "$SRC/$node" "$T/disk/$node"
	done
	diff -r "$SRC/common" "$T/disk/copy"
	unmount_disk "$T/disk" "$LOOP"
	e2fsck -fn "$LOOP" >fsck.log 2>&1 || fail "e2fsck: $(cat fsck.log)"
	losetup -d "$LOOP"
}

# A local file and a server.
truncate -s 128M local.img far.img
serve_node far "$T/far.img"
conf mirror local far >mirror.conf
create_mirror
mount_mirror
wait_equal 30
lives_through far
stop_dstfs
cmp -n "$SIZE" local.img far.img
e2fsck -fn local.img >fsck.log 2>&1 || fail "e2fsck of the node itself: $(cat fsck.log)"

# Two halves and a whole.
truncate -s 64M half1.img half2.img
truncate -s 128M whole.img
for node in half1 whole; do
	serve_node $node "$T/$node.img"
done
conf 'mirror(linear(half1, half2), whole)' half1 half2 whole >mirror.conf
create_mirror
mount_mirror
wait_equal 30
lives_through half1
stop_dstfs
cmp -n "$SIZE" <(cat half1.img half2.img) whole.img

# A stripe of mirrors: each may lose a node at the same time.
truncate -s 64M w.img x.img y.img z.img
for node in x y z; do
	serve_node $node "$T/$node.img"
done
conf 'stripe(mirror(w, x), mirror(y, z))' w x y z >mirror.conf
create_mirror
mount_mirror
wait_equal 30
lives_through 'x y'
stop_dstfs
cmp -n "$SIZE" w.img x.img
cmp -n "$SIZE" y.img z.img
