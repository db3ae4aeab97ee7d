#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ext4 on a loop device on the image, written to by a group that may have little memory, while dstd is killed and restarted: nothing hangs, nothing is lost.
# alone
# timeout: 120
# plain: a sanitizer's shadow doesn't fit into the group
. "$SRC/test/lib.sh"

need_loop
need_tool mkfs.ext4
limit=$((96 << 20))
name=dstfs-test-$$
# Version 2 throttles writers by their group's dirty pages; version 1 lets them fill it, which is worse.
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
	group=/sys/fs/cgroup/$name file=memory.max
elif [ -d /sys/fs/cgroup/memory ]; then
	group=/sys/fs/cgroup/memory/$name file=memory.limit_in_bytes
else
	skip "needs a memory controller of cgroup"
fi
# Whoever hangs for want of memory gets it, so that the test can end.
remove_group() {
	[ -d "$group" ] || return 0
	echo $((1 << 40)) >"$group/$file"
	stop_all
	wait_until 10 rmdir "$group"
}
defer remove_group
mkdir "$group" 2>/dev/null || skip "may not make a memory cgroup below ${group%/*}"
echo $limit >"$group/$file" 2>/dev/null || skip "may not limit the memory of a cgroup"
confined() {
	bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$group" "$@"
}

truncate -s 1G img
start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=forever,reconnect=50ms,timeout=2s
# Where dstfs may become an I/O flusher it goes into the group, too: memory that it asks for must then be
# found without waiting for its own disk. Without, this is a deadlock of the kernel's (seen), and no
# fault of the group's alone: the whole machine is such a group.
if grep -q 'no PR_SET_IO_FLUSHER' "$DSTFS_LOG"; then
	echo "dstfs stays outside of the group: it may not become an I/O flusher"
else
	echo "$DSTFS_PID" >"$group/cgroup.procs"
fi
wait_online "$MNT/vol0"
attach_loop "$MNT/vol0"
mkfs.ext4 -q "$LOOP"
mount_on "$T/disk" "$LOOP"

# Three times what the group may have, dirtied as fast as it goes.
cat >work <<'END'
set -e
for i in 1 2 3; do
	dd if=/dev/urandom of="$1/$i" bs=1M count=96 status=none
	md5sum <"$1/$i" >"$1/$i.sum"
done
sync -f "$1"
END
background confined bash work "$T/disk"
worker=$JOB
restarts=0
while alive "$worker" && [ $restarts -lt 40 ]; do
	sleep 0.5
	kill -KILL "$DSTD_PID"
	wait_until 5 gone "$DSTD_PID"
	sleep 0.3
	start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
	restarts=$((restarts + 1))
done
wait_until 40 gone "$worker" || fail "the writer hangs: $(cat "/proc/$worker/stack" 2>/dev/null)"
wait "$worker" || fail "the writer failed"
[ $restarts -ge 3 ] || fail "only $restarts restarts while it wrote"
for i in 1 2 3; do
	[ "$(dd if="$T/disk/$i" iflag=direct bs=1M status=none | md5sum)" = "$(cat "$T/disk/$i.sum")" ] ||
		fail "file $i is not what was written"
done
echo "$restarts restarts, $(cat "$group/memory.failcnt" 2>/dev/null || grep -w max "$group/memory.events") times out of memory"
unmount_disk "$T/disk" "$LOOP"
e2fsck -fn "$LOOP" >fsck.log || fail "e2fsck: $(cat fsck.log)"
losetup -d "$LOOP"
stop_dstfs
