#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A client that takes a mirror over takes over all of its nodes; one fenced node fences the whole volume, and none is recorded as absent for it; a command brings the mirror back.
# timeout: 120
. "$SRC/test/lib.sh"
need_fuse

serve_node() { # NAME
	start_dstd --listen "unix:$T/socket.$1" --export "vol0=$T/$1.img,lease=1s"
}

# start_client NAME OPTION...: each has a state folder of its own.
start_client() {
	mkdir -p "$T/state.$1"
	STATE_DIRECTORY=$T/state.$1 MNT=$T/$1 start_dstfs mirror.conf "${@:2}"
}

status() { # PID EXPRESSION, m being the mirror
	"$DSTCTL" status --json --socket "$(control_socket dstfs "$1")" | python3 -c "
import json, sys
m = json.load(sys.stdin)
m = (m[0] if isinstance(m, list) else m)['volumes'][0]['nodes'][0]
print($2)"
}

is_whole() { # PID
	[ "$(status "$1" "m['state'], m['sync'], m['suspect'], [n['sync'] for n in m['nodes']]")" = \
		"ready in-sync 0 ['in-sync', 'in-sync']" ]
}

is_state() { # PID STATE
	[ "$(status "$1" "m['state']")" = "$2" ]
}

is_missing_b() { # PID
	status "$1" "m['reason']" | grep -q "b is missing, and was in sync"
}

superblocks() { # NAME
	tail -c 256K "$1.img" | sha256sum
}

fill() { # FILE BYTE: 1 MiB
	dd if=/dev/zero bs=1M count=1 status=none | tr '\0' "$2" >"fill.$2"
	dd if="fill.$2" of="$1" bs=1M oflag=direct conv=notrunc,fsync status=none
}

holds() { # FILE BYTE
	dd if="$1" bs=1M count=1 iflag=direct status=none | cmp - "fill.$2"
}

truncate -s 64M a.img b.img
serve_node a
serve_node b
cat >mirror.conf <<END
[dstfs]
reconnect = 50ms
timeout = 5s
resends = 1
cache = none
[volume vol0]
map = mirror
node = a dst+unix:///vol0?socket=$T/socket.a
node = b dst+unix:///vol0?socket=$T/socket.b
END
"$DSTCTL" mirror create vol0 --config mirror.conf >create.log
start_client one
one=$DSTFS_PID
wait_online "$T/one/vol0"
fill "$T/one/vol0" A
is_whole "$one" || fail "a new mirror isn't whole: $(status "$one" m)"
generation=$(status "$one" "m['generation']")

# Nobody comes in without being told to.
start_client two
two=$DSTFS_PID
sleep 1
[ ! -s "$T/two/vol0" ] || fail "a second writer was let in"
unmount "$T/two"
wait_until 10 gone "$two" || fail "dstfs still runs after the unmount"

# Under load: the first fails, the second has it all.
background dd if=/dev/urandom of="$T/one/vol0" bs=64k seek=32 count=512 oflag=direct conv=notrunc status=none
writer=$JOB
start_client two -o takeover
two=$DSTFS_PID
wait_online "$T/two/vol0"
wait_until 20 gone "$writer" || fail "a writer hangs at a fenced mirror"
! wait "$writer" || fail "the old writer was told that all went well"
wait_until 10 is_state "$one" fenced || fail "not fenced: $(status "$one" m)"
expect EIO call "$T/one/vol0" rw write:0:4k:1
expect EIO call "$T/one/vol0" rw read:0:4k
holds "$T/two/vol0" A || fail "what was acknowledged is gone"
fill "$T/two/vol0" B
wait_until 30 is_whole "$two" || fail "not whole after the takeover: $(status "$two" m)"
expect "$generation" status "$two" "m['generation']"
grep -q "another writer has taken over" "$T"/dstfs.*.log || fail "the log doesn't tell"

# Back by a command: all nodes of it.
"$DSTCTL" reattach vol0 --mount "$T/one" --takeover || fail "reattach"
wait_until 20 is_whole "$one" || fail "it does not come back: $(status "$one" m)"
holds "$T/one/vol0" B || fail "what the other one wrote is gone"
fill "$T/one/vol0" C
wait_until 10 is_state "$two" fenced || fail "not fenced: $(status "$two" m)"
expect EIO call "$T/two/vol0" rw write:0:4k:1
expect "$generation" status "$one" "m['generation']"

# Somebody takes one of the nodes only: the whole volume fails, and the other node isn't told of anything.
before=$(superblocks b)
STATE_DIRECTORY=$T/state.three MNT=$T/three start_dstfs "dst+unix:///vol0?socket=$T/socket.a" -o takeover
wait_online "$T/three/vol0"
expect EIO call "$T/one/vol0" rw write:0:4k:1
wait_until 10 is_state "$one" fenced || fail "not fenced: $(status "$one" m)"
expect EIO call "$T/one/vol0" rw read:0:4k
expect "$before" superblocks b
MNT=$T/three stop_dstfs
"$DSTCTL" reattach vol0 --mount "$T/one" --takeover || fail "reattach"
wait_until 20 is_whole "$one" || fail "it does not come back: $(status "$one" m)"
holds "$T/one/vol0" C || fail "what was acknowledged is gone"

unmount "$T/two"
wait_until 10 gone "$two" || fail "dstfs still runs after the unmount"

# A node that can't be reached may have what the others lack: it is waited for, and taken over when it is back.
kill_dstd
start_client two -o takeover
two=$DSTFS_PID
wait_until 10 is_state "$one" fenced || fail "not fenced: $(status "$one" m)"
wait_until 10 is_missing_b "$two" || fail "nobody says who is missing: $(status "$two" m)"
[ ! -s "$T/two/vol0" ] || fail "it started without a node that was in sync"
serve_node b
wait_until 20 is_whole "$two" || fail "it doesn't start: $(status "$two" m)"
holds "$T/two/vol0" C || fail "what was acknowledged is gone"

unmount "$T/one"
wait_until 10 gone "$one" || fail "dstfs still runs after the unmount"
MNT=$T/two DSTFS_PID=$two stop_dstfs
cmp -n $((60 << 20)) a.img b.img
