#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A node is detached as a clean image and mounted while its volume goes on being written; back again it gets what it missed, or all that was tampered with; what is suspended stays out.
# timeout: 240
. "$SRC/test/lib.sh"
need_loop
need_tool mkfs.ext4 e2fsck fsfreeze

# serve_node NAME [PORT]: sets PORT and DSTD_PID.
serve_node() {
	DSTD_LOG=$T/dstd-$1.log
	"$DSTD" --foreground --listen "127.0.0.1:${2:-0}" --export "vol0=$T/$1.img,lease=1s" >"$DSTD_LOG" 2>&1 &
	DSTD_PID=$!
	DAEMONS+=($!)
	wait_until 15 dstd_started || fail "dstd is not ready: $(cat "$DSTD_LOG")"
	alive "$DSTD_PID" || fail "dstd ended: $(cat "$DSTD_LOG")"
	PORT=$(listening_port "$DSTD_LOG")
}

node() { # ACTION NODE OPTION...
	within 60 "$DSTCTL" node "$1" vol0 "${@:2}" --mount "$MNT"
}

is() { # STATE
	"$DSTCTL" is vol0 "$1" --mount "$MNT"
}

node_state() { # NODE
	"$DSTCTL" status --json --mount "$MNT" | python3 -c '
import json, sys

def nodes(tree):
    if isinstance(tree, dict) and tree.get("name") == sys.argv[1] and "sync" in tree:
        yield tree["sync"]
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []:
        yield from nodes(child)

print(next(nodes(json.load(sys.stdin))))' "$1"
}

begin_volume() {
	start_dstfs mirror.conf
	wait_online "$MNT/vol0"
	attach_loop "$MNT/vol0" --direct-io=on
	mount_on "$T/disk" "$LOOP"
}

end_volume() {
	unmount_disk "$T/disk" "$LOOP"
	losetup -d "$LOOP"
	stop_dstfs
}

# Files of random data one after the other, each synced, until the file "enough" is there.
write_files() {
	local i=0
	while [ ! -e "$T/enough" ]; do
		dd if=/dev/urandom of="$T/disk/load.$((i++ % 16))" bs=256k count=4 conv=notrunc,fsync status=none
	done
}

truncate -s 192M a.img b.img
serve_node a
a_port=$PORT
serve_node b
b_port=$PORT b_pid=$DSTD_PID
cat >mirror.conf <<CONF
[volume vol0]
map = mirror
node = a dst://127.0.0.1:$a_port/vol0
node = b dst://127.0.0.1:$b_port/vol0
timeout = 1s
resends = 1
reconnect = 100ms
start_wait = 1s
CONF
within 60 "$DSTCTL" mirror create vol0 --config mirror.conf >create.log
size=$(sed -n 's/.*(\([0-9]*\) bytes).*/\1/p' create.log | head -n 1)
start_dstfs mirror.conf
wait_online "$MNT/vol0"
wait_until 20 is in-sync || fail "not in sync"
mkfs.ext4 -q "$MNT/vol0"
stop_dstfs
begin_volume
mkdir disk/kept
cp -r "$SRC/common" disk/kept/
dd if=/dev/urandom of=disk/large bs=1M count=64 conv=fsync status=none
end_volume # cleanly, so that none of that is marked
begin_volume

# Frozen for a moment, a node is detached under load.
write_files &
loader=$!
DAEMONS+=("$loader")
sleep 1
fsfreeze -f disk
status=0
expect_match "^vol0: b is a consistent image now" node detach b || status=$?
fsfreeze -u disk
[ "$status" -eq 0 ] || fail "b can't be detached"
expect detached node_state b
expect_match "the last node in sync" node suspend a
expect_match "detached already" node detach b
sum=$(md5sum <b.img)
received=$(counter dstd "$b_pid" write_bytes)

# It is mounted while the volume goes on, and is what was there.
e2fsck -fn b.img >e2fsck.log 2>&1 || fail "the image is damaged: $(cat e2fsck.log)"
mount_on "$T/backup" -o loop,ro b.img
diff -r "$SRC/common" backup/kept/common
cmp backup/large disk/large
dd if=/dev/urandom of=disk/later bs=1M count=4 conv=fsync status=none
[ ! -e backup/later ] || fail "it goes on being written"
touch enough
wait "$loader"
rm enough
umount backup
is degraded || fail "a mirror with a detached node isn't degraded"

# It stays so when the client starts anew.
end_volume
begin_volume
expect detached node_state b
expect "$sum" md5sum <b.img
expect "$received" counter dstd "$b_pid" write_bytes

# Back again it gets what it missed, and hardly more: 64 MiB of old data and more are not sent.
expect_match "^vol0: b is used again" node attach b --trust-unmodified
wait_until 60 is in-sync || fail "b is not in sync: $(node_state b)"
received=$(($(counter dstd "$b_pid" write_bytes) - received))
[ "$received" -gt $((4 << 20)) ] || fail "b has received only $received bytes"
[ "$received" -lt $((60 << 20)) ] || fail "b has received $received bytes"
result "detached, and back with a partial resync: $received of $size bytes were sent to the node"
end_volume
cmp -n "$size" a.img b.img

# What was tampered with is found, unless one is told that there is nothing.
begin_volume
write_files &
loader=$!
DAEMONS+=("$loader")
sleep 1
node detach b >/dev/null
touch enough
wait "$loader"
rm enough

# It was not frozen this time: its journal is replayed, in a copy.
cp b.img copy.img
status=0
e2fsck -fp copy.img >e2fsck.log 2>&1 || status=$?
[ "$status" -le 1 ] || fail "the image is not consistent: $(cat e2fsck.log)"
e2fsck -fn copy.img >e2fsck.log 2>&1 || fail "the image is damaged: $(cat e2fsck.log)"
for offset in 1000 50000000 150000000; do
	printf tampered | dd of=b.img bs=1 seek=$offset conv=notrunc status=none
done
node attach b >/dev/null
wait_until 60 is in-sync || fail "b is not in sync: $(node_state b)"
end_volume
cmp -n "$size" a.img b.img

# What is suspended stays out, whatever comes and goes, until it is resumed.
begin_volume
expect_match "^vol0: b is not used any more" node suspend b
kill -KILL "$b_pid"
dd if=/dev/urandom of=disk/suspended bs=1M count=4 conv=fsync status=none
end_volume
serve_node b "$b_port"
b_pid=$DSTD_PID
begin_volume
expect suspended node_state b
expect 0 counter dstd "$b_pid" write_bytes
expect_match "the action is one of" node nonsense b
expect_match "no mirror with a node nobody" node suspend nobody
expect_match "say --force" node clean b
expect_match "resume it first" node clean b --force
node resume b >/dev/null
wait_until 60 is in-sync || fail "b is not in sync: $(node_state b)"
expect_match "compared with the others as a whole" node dirty b
wait_until 60 is in-sync || fail "b is not in sync: $(node_state b)"
end_volume
cmp -n "$size" a.img b.img

# A mirror inside a tree: its nodes are found by their names, maps among them.
truncate -s 8M c.img d.img e.img f.img
cat >tree.conf <<CONF
[volume vol0]
map = linear(mirror(c, stripe(d, e)), f)
node = c file://$T/c.img
node = d file://$T/d.img
node = e file://$T/e.img
node = f file://$T/f.img
CONF
within 60 "$DSTCTL" mirror create vol0 --config tree.conf >create.log
start_dstfs tree.conf
wait_online "$MNT/vol0"
node suspend 'stripe(d,e)' >/dev/null
expect_match "stripe\(d,e\).*suspended" "$DSTCTL" status --mount "$MNT"
expect_match "the last node in sync" node detach c
for name in d f nobody; do
	expect_match "no mirror with a node $name" node suspend $name
done
node resume 'stripe(d,e)' >/dev/null
wait_until 20 is in-sync || fail "not in sync"
stop_dstfs
