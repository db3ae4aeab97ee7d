#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A node of a stripe is killed under load and comes back: nothing fails, nothing is wrong, and meanwhile status names it; without resends what lies on it fails, the rest doesn't.
# timeout: 90
. "$SRC/test/lib.sh"

need_fuse
need_tool fio
truncate -s 64M a b
server() {
	start_dstd --listen "unix:$T/socket.$1" --export "$1=$T/$1"
}

status() {
	"$DSTCTL" status --socket "$(control_socket dstfs "$DSTFS_PID")"
}

server a
server b
cat >conf <<END
[volume v]
map = stripe
node = a dst+unix:///a?socket=$T/socket.a
node = b dst+unix:///b?socket=$T/socket.b
reconnect = 100ms
timeout = 500ms
resends = forever
END
start_dstfs "$T/conf"
VOL=$MNT/v
wait_online "$VOL"
background verified_fio --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bsrange=4k-256k \
	--size=128m --io_size=512m --rate=100m
load=$JOB
for _ in 1 2 3; do
	sleep 0.5
	kill -KILL "$DSTD_PID"
	wait_until 5 gone "$DSTD_PID"
	wait_until 5 eval 'status | grep -qE "^  v +b dst.* away"' || fail "no b away in: $(status)"
	expect_match '^  v +stripe +away' status
	expect_match '^  v +a dst.* ready' status
	expect_match '^  v +away' status
	within 2 ls -l "$MNT"
	server b
	wait_until 10 eval 'status | grep -qE "^  v +stripe +ready"' || fail "not ready: $(status)"
done
wait "$load" || fail "fio: $(cat fio.out)"

# What lies on b alone fails.
"$DSTCTL" set v resends=0 --socket "$(control_socket dstfs "$DSTFS_PID")"
kill -KILL "$DSTD_PID"
wait_until 5 gone "$DSTD_PID"
expect "65536" call "$VOL" direct read:0:64k
expect_match 'EIO' call "$VOL" direct read:64k:64k
expect_match 'EIO' call "$VOL" direct read:0:128k
server b
wait_until 10 eval 'status | grep -qE "^  v +stripe +ready"' || fail "not ready: $(status)"
expect "131072" call "$VOL" direct read:0:128k
stop_dstfs
