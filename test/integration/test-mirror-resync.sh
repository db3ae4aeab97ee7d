#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mirror's node that dies under load and returns gets the regions that it missed, and no others; a client that is killed in the middle of that leaves nothing that differs.
# timeout: 180
. "$SRC/test/lib.sh"
need_fuse
need_tool fio

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

status() { # EXPRESSION, m being the mirror
	"$DSTCTL" status --json --socket "$(control_socket dstfs "$DSTFS_PID")" | python3 -c "
import json, sys

def mirrors(node):
    if isinstance(node, dict) and node.get('map') == 'mirror':
        yield node
    elif isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from mirrors(child)

m = next(mirrors(json.load(sys.stdin)))
print($1)"
}

is_sync() {
	[ "$(status "m['sync'], m['suspect']")" = "$1 0" ]
}

is_copying() {
	[ "$(status "m['sync'], m['copying']['compared'] > 0")" = "resyncing True" ]
}

mount_mirror() {
	start_dstfs mirror.conf
	VOL=$MNT/vol0
	wait_online "$VOL"
}

# load SECONDS OFFSET: writes 16 MiB again and again, by turns, and checks what was written.
load() {
	fio --name=load --filename="$VOL" --rw=randwrite --bs=4k --direct=1 --ioengine=libaio \
		--iodepth=8 --offset="$2" --size=16M --time_based --runtime="$1" --rate=8m \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --serialize_overlap=1 \
		--allow_file_create=0 --output="fio.$2" || fail "fio: $(cat "fio.$2")"
}

truncate -s 256M a.img b.img
serve_node a
a_port=$PORT
serve_node b
b_port=$PORT
b_pid=$DSTD_PID
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
mount_mirror
wait_until 20 is_sync in-sync || fail "not in sync: $(status m)"
dd if=/dev/urandom of="$VOL" bs=1M count=128 conv=notrunc,fsync oflag=direct status=none
stop_dstfs # cleanly, so that no region is marked
cmp -n "$size" a.img b.img

# Killed under load, it is left out; back again, it is brought up to date under load.
mount_mirror
wait_until 20 is_sync in-sync || fail "not in sync: $(status m)"
load 8 160M &
loader=$!
sleep 2
kill -KILL "$b_pid"
wait_until 30 is_sync degraded || fail "b is not missed: $(status m)"
serve_node b "$b_port"
b_pid=$DSTD_PID
wait $loader || fail "the load failed"
wait_until 60 is_sync in-sync || fail "b is not up to date: $(status m)"
received=$(counter dstd "$b_pid" write_bytes)
sent=$(status "m['copying']['sent']")
# 16 MiB, and the regions behind them that were marked ahead; what the load writes meanwhile is b's too.
((sent > 0 && sent <= 20 << 20)) || fail "$sent bytes were copied"
[ "$received" -lt $((120 << 20)) ] || fail "b has received $received bytes"
stop_dstfs
cmp -n "$size" a.img b.img

# The client is killed while it writes, and while it copies to a node that is back.
mount_mirror
wait_until 20 is_sync in-sync || fail "not in sync: $(status m)"
for round in 1 2 3; do
	fio --name=crash --filename="$VOL" --rw=randwrite --bs=16k --direct=1 --ioengine=libaio \
		--iodepth=16 --size=200M --time_based --runtime=60 --allow_file_create=0 \
		--output=fio.crash >fio.err 2>&1 &
	writer=$!
	sleep 0.5
	kill -KILL "$b_pid"
	wait_until 30 is_sync degraded || fail "b is not missed: $(status m)"
	sleep 1
	"$DSTCTL" set vol0 resync_rate=4M --mount "$MNT" >/dev/null # so that it is under way for a while
	serve_node b "$b_port"
	b_pid=$DSTD_PID
	wait_until 30 is_copying || fail "b is not copied to: $(status m)"
	sleep 0.$round
	kill -KILL "$DSTFS_PID"
	wait "$DSTFS_PID" 2>/dev/null || true
	wait $writer || true
	unmount_if_mounted "$MNT"
	mount_mirror
	wait_until 60 is_sync in-sync || fail "not in sync after a crash: $(status m)"
done
stop_dstfs
cmp -n "$size" a.img b.img
