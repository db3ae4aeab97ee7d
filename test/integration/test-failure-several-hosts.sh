#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A node with several hosts: one that refuses is passed over, one that falls silent is replaced by the
# next, and one that comes back is found again; no I/O fails.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 8M img
start_dstd --export "vol0=$T/img"

# way NAME: another way to the server. Sets JOB and WAY, its port.
way() {
	background "$TOOLS/faultproxy" "$PORT" >"$1.log"
	wait_until 5 grep -q listening "$1.log"
	WAY=$(listening_port "$1.log")
}

# The way that was connected to last.
peer() {
	sed -n 's/.*: connected to 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$DSTFS_LOG" | tail -n 1
}

way one && one=$JOB one_port=$WAY
way two && two=$JOB two_port=$WAY
start_dstfs "dst://127.0.0.1:1,127.0.0.1:$one_port,127.0.0.1:$two_port/vol0" \
	-o cache=none,timeout=1s,resends=30,ping=1s,ping_timeout=1s,reconnect=50ms
wait_online "$MNT/vol0"
[ "$(peer)" = "$one_port" ] || fail "the first that answers was not taken: $(peer)"
expect 4096 call "$MNT/vol0" rw write:0:4k:1

kill -STOP "$one"
expect "4096 4096" call "$MNT/vol0" rw write:0:4k:2 read:0:4k:2
[ "$(peer)" = "$two_port" ] || fail "a silent way was not replaced: $(peer)"

kill -CONT "$one"
kill -KILL "$two"
expect "4096 4096" call "$MNT/vol0" rw write:0:4k:3 read:0:4k:3
[ "$(peer)" = "$one_port" ] || fail "the way that came back was not found: $(peer)"
stop_dstfs
grep -q "127.0.0.1:1,127.0.0.1:$one_port,127.0.0.1:$two_port/vol0" "$DSTFS_LOG" ||
	fail "the log doesn't name the node as it was given"
