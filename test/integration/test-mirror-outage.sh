#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mirror's node is killed under load for longer than its patience, then the client too: nothing fails, nothing is wrong, and in the end the nodes hold the same plain image.
# timeout: 180
. "$SRC/test/lib.sh"

need_fuse
need_tool fio
truncate -s 64M a b
server() {
	start_dstd --listen "unix:$T/socket.$1" --export "$1=$T/$1"
}

status() {
	"$DSTCTL" status --json --socket "$(control_socket dstfs "$DSTFS_PID")"
}

sync_is() { # WORD
	[ "$(status | python3 -c 'import json, sys
s = json.load(sys.stdin)
print((s[0] if isinstance(s, list) else s)["volumes"][0]["nodes"][0]["sync"])')" = "$1" ]
}

server a
server b
cat >conf <<END
[volume v]
map = mirror
node = a dst+unix:///a?socket=$T/socket.a
node = b dst+unix:///b?socket=$T/socket.b
reconnect = 100ms
timeout = 4s
resends = 0
start_wait = 20s
END
within 60 "$DSTCTL" mirror create v --config conf >create.log || fail "$(cat create.log)"
size=$(sed -n 's/.*(\([0-9]*\) bytes)$/\1/p' create.log)
start_dstfs "$T/conf"
VOL=$MNT/v
wait_online "$VOL"
expect "$size" stat -c %s "$VOL"
sync_is in-sync || fail "a new mirror is not in sync: $(status)"

# One of two.
background verified_fio --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bsrange=4k-64k \
	--size=60m --io_size=400m --rate=40m
load=$JOB
for _ in 1 2; do
	sleep 0.5
	kill -KILL "$DSTD_PID"
	wait_until 5 gone "$DSTD_PID"
	wait_until 30 sync_is degraded || fail "not degraded: $(status)"
	server b
	wait_until 60 sync_is in-sync || fail "not in sync again: $(status)"
done
wait "$load" || fail "fio: $(cat fio.out)"

# The client is killed in the middle; the same data must be read from both.
background dd if=/dev/urandom of="$VOL" bs=64k oflag=direct conv=notrunc status=none
sleep 0.5
kill -KILL "$DSTFS_PID"
wait_until 5 gone "$DSTFS_PID"
wait "$JOB" || true
unmount "$MNT"
sed -i 's/^start_wait/takeover = yes\n&/' conf
start_dstfs "$T/conf"
wait_online "$VOL"
wait_until 60 eval 'status | grep -q "\"suspect\": 0"' || fail "not made equal: $(status)"
head -c 1M /dev/urandom >data
dd if=data of="$VOL" bs=1M oflag=direct conv=notrunc,fsync status=none
stop_dstfs
cmp -n "$size" a b
cmp -n 1048576 data a
