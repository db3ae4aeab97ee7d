#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mirror refuses to start from what is stale, and nodes that were written to without each other, and says why; by force, or by choosing one of them, it goes on, and then all are equal.
# timeout: 120
. "$SRC/test/lib.sh"
need_fuse

declare -A PORTS=() PIDS=()
SERVED=0

# serve_node NAME: the first time on a port of its own, then on the same.
serve_node() {
	DSTD_LOG=$T/dstd-$1.$((++SERVED)).log
	"$DSTD" --foreground --listen "127.0.0.1:${PORTS[$1]:-0}" --export "vol0=$T/$1.img,lease=1s" \
		>"$DSTD_LOG" 2>&1 &
	DSTD_PID=$!
	DAEMONS+=($!)
	PIDS[$1]=$!
	wait_until 15 dstd_started || fail "dstd is not ready: $(cat "$DSTD_LOG")"
	alive "$DSTD_PID" || fail "dstd ended: $(cat "$DSTD_LOG")"
	PORTS[$1]=$(listening_port "$DSTD_LOG")
}

kill_node() {
	kill -KILL "${PIDS[$1]}"
	wait "${PIDS[$1]}" 2>/dev/null || true
}

ctl() {
	within 30 "$DSTCTL" "$@" --mount "$MNT" </dev/null
}

is() { # STATE
	"$DSTCTL" is vol0 "$1" --mount "$MNT"
}

# explains PATTERN: so do status, word for word, and the log.
explains() {
	wait_until 15 grep -qE "$1" "$DSTFS_LOG" || fail "no \"$1\" in the log: $(cat "$DSTFS_LOG")"
	expect_match "$1" ctl status
}

# put NUMBER MEGABYTE: a mebibyte of it.
put() {
	head -c 1M /dev/zero | tr '\0' "$1" | dd of="$MNT/vol0" bs=1M seek="$2" conv=notrunc,fsync \
		status=none
}

# has IMAGE NUMBER MEGABYTE
has() {
	cmp -s <(dd if="$1" bs=1M skip="$3" count=1 status=none) <(head -c 1M /dev/zero | tr '\0' "$2") ||
		fail "$1 has not $2 at $3 MiB"
}

refused() {
	expect_status 0 is failed
	expect_match "Permission denied|not connected" dd if="$MNT/vol0" count=1
}

all_equal() {
	wait_until 60 is in-sync || fail "not in sync: $(ctl status)"
	stop_dstfs
	cmp -n "$size" a.img b.img
}

# write_apart: a gets 2 at 0 MiB while b is away, b gets 3 at 1 MiB while a is.
write_apart() {
	start_dstfs mirror.conf
	wait_online "$MNT/vol0"
	kill_node b
	put 2 0
	wait_until 15 is degraded || fail "b is not missed: $(ctl status)"
	stop_dstfs
	kill_node a
	serve_node b
	start_dstfs mirror.conf
}

truncate -s 64M a.img b.img
serve_node a
serve_node b
cat >mirror.conf <<CONF
[volume vol0]
map = mirror
node = a dst://127.0.0.1:${PORTS[a]}/vol0
node = b dst://127.0.0.1:${PORTS[b]}/vol0
timeout = 500ms
resends = 1
reconnect = 100ms
start_wait = 500ms
CONF
within 60 "$DSTCTL" mirror create vol0 --config mirror.conf >create.log
size=$(sed -n 's/.*(\([0-9]*\) bytes).*/\1/p' create.log | head -n 1)

# Alternate loss: b was lost, then only b is there.
write_apart
explains "what is there is stale: generation 1, while this client has written to generation 2"
explains "dstctl mirror resolve VOLUME --keep NODE"
refused
stop_dstfs

# Nor does it start where nobody remembers.
mv "$STATE_DIRECTORY" state.away
mkdir -m 700 "$STATE_DIRECTORY"
start_dstfs mirror.conf
explains "a is missing, and was in sync in generation 1: it may hold newer data"
explains "dstctl mirror start VOLUME --force"
refused
stop_dstfs
rm -r "$STATE_DIRECTORY"
mv state.away "$STATE_DIRECTORY"

# With both there it knows.
serve_node a
start_dstfs mirror.conf
wait_online "$MNT/vol0"
has "$MNT/vol0" 2 0
all_equal
has b.img 2 0

# By force it goes on from b; nothing is done before somebody has said so.
write_apart
explains "what is there is stale"
expect_status 2 ctl mirror start vol0 2>/dev/null
expect_match "kept: what those have that are there" ctl mirror start vol0 --force
expect_match "nothing was done; --yes" ctl mirror start vol0 --force
refused
expect_match "it has started" ctl mirror start vol0 --force --yes
wait_online "$MNT/vol0"
put 3 1
stop_dstfs

# Split brain: refused, with both sides named.
serve_node a
start_dstfs mirror.conf
explains "split brain: a \(generation [0-9]+\) and b \(generation [0-9]+\) were both written to without each other"
explains "dstctl mirror resolve VOLUME --keep a, or --keep b"
refused
expect_match "split brain" ctl mirror start vol0 --force --yes
expect_match "the mirror has no node c" ctl mirror resolve vol0 --keep c
expect_status 2 ctl mirror resolve vol0 2>/dev/null
expect_status 1 ctl mirror resolve vol0 --keep b >resolve.log 2>&1
grep -qE "lost: what only a has \(generation [0-9]+, without b since generation [0-9]+\): [1-9][0-9]* regions \([0-9]+ KiB\) were written" \
	resolve.log || fail "resolve says $(cat resolve.log)"
refused
expect_match "it has started" ctl mirror resolve vol0 --keep b --yes
wait_online "$MNT/vol0"
has "$MNT/vol0" 3 1
all_equal
has a.img 3 1
start_dstfs mirror.conf # and it starts as ever
wait_online "$MNT/vol0"
all_equal

# The same while it isn't mounted.
write_apart
explains "what is there is stale"
ctl mirror start vol0 --force --yes >/dev/null
wait_online "$MNT/vol0"
put 4 1
stop_dstfs
serve_node a
resolve() {
	within 60 "$DSTCTL" mirror resolve vol0 --config mirror.conf "$@" </dev/null
}
expect_match "split-brain|split brain" within 60 "$DSTCTL" mirror inspect vol0 --config mirror.conf
expect_match "lost: what only b has .* [1-9][0-9]* regions" resolve --keep a
expect_status 1 resolve --keep a >/dev/null 2>&1
expect_match "goes on from a" resolve --keep a --yes
expect_match "nothing to resolve" resolve --keep a --yes
start_dstfs mirror.conf
wait_online "$MNT/vol0"
has "$MNT/vol0" 2 0
has "$MNT/vol0" 3 1
all_equal
has b.img 3 1
