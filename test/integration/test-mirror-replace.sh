#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# While a mirror is in use a replaced medium becomes its node again, once somebody says so; a third node is added, by command or by the configuration, and one is removed, which then holds a plain image.
# timeout: 120
. "$SRC/test/lib.sh"
need_fuse
need_tool fio

ctl() {
	within 60 "$DSTCTL" "$@" --mount "$MNT" </dev/null
}

is() { # STATE
	"$DSTCTL" is vol0 "$1" --mount "$MNT"
}

nodes() {
	"$DSTCTL" status --json --mount "$MNT" | python3 -c '
import json, sys
mirror = json.load(sys.stdin)[0]["volumes"][0]["nodes"][0]
print(*(n["name"] + ":" + n["sync"] for n in mirror["nodes"]))'
}

nodes_are() {
	[ "$(nodes)" = "$1" ]
}

serve_b() {
	DSTD_LOG=$T/dstd-b$((++SERVED)).log
	"$DSTD" --foreground --listen "127.0.0.1:${PORT:-0}" --export "vol0=$T/b.img,lease=1s" \
		>"$DSTD_LOG" 2>&1 &
	DSTD_PID=$!
	DAEMONS+=($!)
	wait_until 15 dstd_started || fail "dstd is not ready: $(cat "$DSTD_LOG")"
	PORT=$(listening_port "$DSTD_LOG")
}

# config NODE...
config() {
	printf '%s\n' '[volume vol0]' 'map = mirror' 'timeout = 1s' 'resends = 0' 'start_wait = 1s' \
		'reconnect = 100ms' >mirror.conf
	for node in "$@"; do
		case $node in
		b) echo "node = b dst://127.0.0.1:$PORT/vol0" ;;
		*) echo "node = $node file://$T/$node.img" ;;
		esac >>mirror.conf
	done
}

SERVED=0 PORT=''
truncate -s 64M a.img b.img c.img d.img small.img
truncate -s 32M small.img
serve_b
config a b
within 60 "$DSTCTL" mirror create vol0 --config mirror.conf >create.log
size=$(sed -n 's/.*(\([0-9]*\) bytes).*/\1/p' create.log | head -n 1)
start_dstfs mirror.conf
wait_online "$MNT/vol0"
dd if=/dev/urandom of="$MNT/vol0" bs=1M count=40 conv=notrunc,fsync status=none
fio --name=load --filename="$MNT/vol0" --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=4 \
	--offset=40M --size=16M --time_based --runtime=16 --rate=4m --verify=crc32c --verify_fatal=1 \
	--do_verify=1 --serialize_overlap=1 --allow_file_create=0 --output=fio.log &
load=$!

# What is known needs no such thing.
expect_match "a is in sync: there is nothing to replace" ctl mirror replace vol0 a
expect_match "there is no node|has no node|no mirror" ctl mirror replace vol0 x
expect_match "a can't be removed|two members at least" ctl node remove vol0 a --force

# b's disk is another one.
kill_dstd
wait_until 15 is degraded || fail "b is not missed: $(nodes)"
expect_match "b is not there" ctl mirror replace vol0 b
rm b.img
truncate -s 64M b.img
serve_b
wait_until 15 nodes_are "a:in-sync b:refused" || fail "b is used: $(nodes)"
expect_match "a new or replaced medium. dstctl mirror replace VOLUME NODE" ctl status
expect_match "b: it is member 2, and everything is copied to it" ctl mirror replace vol0 b
expect_match "no resync is under way" ctl resync vol0 --watch
wait_until 30 is in-sync || fail "b is not in sync: $(nodes)"

# It holds another mirror: not without --force.
kill_dstd
wait_until 15 is degraded || fail "b is not missed: $(nodes)"
printf '%s\n' '[volume other]' 'map = mirror' "node = b file://$T/b.img" "node = d file://$T/d.img" >other.conf
rm b.img
truncate -s 64M b.img
within 60 "$DSTCTL" mirror create other --config other.conf >/dev/null
serve_b
wait_until 15 nodes_are "a:in-sync b:refused" || fail "b is used: $(nodes)"
expect_match "b is not blank: it belongs to another mirror" ctl mirror replace vol0 b
ctl mirror replace vol0 b --force --watch >/dev/null
wait_until 30 is in-sync || fail "b is not in sync: $(nodes)"

# One more, and too small a one.
expect_match "small has 33554432 bytes, and the mirror needs 67108864" \
	ctl node add vol0 small "file://$T/small.img"
expect_match "there is a node b already" ctl node add vol0 b "file://$T/c.img"
expect_match "is a node of the volume already" ctl node add vol0 c "file://$T/a.img"
expect_match "a file on $MNT can't be a node" ctl node add vol0 c "file://$MNT/vol0"
expect_match "can't name a node|URI" ctl node add vol0 'c/d' "file://$T/c.img"
expect_match "c is a node of the mirror; add its line to the configuration" \
	ctl node add vol0 c "file://$T/c.img"
wait_until 30 is in-sync || fail "c is not in sync: $(nodes)"
expect "a:in-sync b:in-sync c:in-sync" nodes

# One less; and back, as a new one.
expect_match "b is not a node of the mirror any more" ctl node remove vol0 b
expect_match "small has 33554432 bytes" ctl node add vol0 small "file://$T/small.img"
expect_match "b is a node of the mirror" ctl node add vol0 b "dst://127.0.0.1:$PORT/vol0"
wait_until 30 is in-sync || fail "b is not in sync: $(nodes)"
expect "a:in-sync b:in-sync c:in-sync" nodes

# One less. A configuration that doesn't know of it changes nothing.
expect_match "b is not a node of the mirror any more" ctl node remove vol0 b
expect "a:in-sync c:in-sync" nodes
config a b c
kill -HUP "$DSTFS_PID"
wait_until 15 grep -q "b was removed by command" "$DSTFS_LOG" || fail "$(cat "$DSTFS_LOG")"
config a c
kill -HUP "$DSTFS_PID"

# By the configuration.
within 60 "$DSTCTL" mirror inspect other --config other.conf >/dev/null 2>&1 || true
truncate -s 0 d.img
truncate -s 70M d.img
config a c d
kill -HUP "$DSTFS_PID"
wait_until 15 nodes_are "a:in-sync c:in-sync d:in-sync" || fail "d is not in sync: $(nodes)"
wait $load || fail "fio: $(cat fio.log)"
stop_dstfs
cmp -n "$size" a.img c.img
cmp -n "$size" a.img d.img
expect_match "no mirror" within 60 "$DSTCTL" mirror inspect vol0 --config <(config a b && cat mirror.conf)

# The configuration and the members must agree.
config a c d
expect_status 0 within 60 "$DSTCTL" mirror check vol0 --config mirror.conf >/dev/null
config a c
start_dstfs mirror.conf
wait_until 15 grep -q "the mirror has 3 members, and the configuration 2 nodes" "$DSTFS_LOG" ||
	fail "$(cat "$DSTFS_LOG")"
stop_dstfs
config a c d
start_dstfs mirror.conf
wait_online "$MNT/vol0"
wait_until 15 is in-sync
stop_dstfs
