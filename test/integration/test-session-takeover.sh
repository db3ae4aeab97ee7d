#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 60
# A frozen client's export is taken over; thawed, it changes nothing, all of its I/O fails, and only a command brings it back.
. "$SRC/test/lib.sh"

need_fuse
options=cache=none,workers=3,timeout=2s,ping=1s,ping_timeout=1s,reconnect=20ms
truncate -s 16M img
start_dstd --workers 3 --export "vol0=$T/img"
MNT=$T/a start_dstfs "dst://127.0.0.1:$PORT/vol0" -o $options
old=$DSTFS_PID old_log=$DSTFS_LOG
wait_online "$T/a/vol0"
expect 4096 call "$T/a/vol0" rw write:0:4k:1

# Another one is told who has it, and may not come in.
MNT=$T/b start_dstfs "dst://127.0.0.1:$PORT/vol0" -o $options
wait_until 5 grep -q "held by .*$T/a .*since 20" "$DSTFS_LOG" || fail "nobody says who holds it"
[ ! -s "$T/b/vol0" ] || fail "a second writer was let in"
unmount "$T/b"
wait_until 10 gone "$DSTFS_PID" || fail "dstfs still runs after the unmount"

# Frozen in the middle of it: what it has sent may arrive at any time.
background dd if=/dev/urandom of="$T/a/vol0" bs=64k count=256 oflag=direct conv=notrunc status=none
writer=$JOB
sleep 0.1
kill -STOP "$old"
MNT=$T/b start_dstfs "dst://127.0.0.1:$PORT/vol0" -o $options,takeover
wait_online "$T/b/vol0"
dd if=/dev/zero bs=1M count=16 status=none | tr '\0' B |
	dd of="$T/b/vol0" bs=1M iflag=fullblock oflag=direct conv=notrunc,fsync status=none
kill -CONT "$old"
wait_until 10 gone "$writer" || fail "a writer hangs at a fenced volume"
! wait "$writer" || fail "the old writer was told that all went well"
expect_match "fenced" cat "$old_log"
expect EIO call "$T/a/vol0" rw write:0:4k:2
[ "$(tr -d B <img | wc -c)" -eq 0 ] || fail "the old writer has changed what the new one wrote"
sleep 0.5
expect EIO call "$T/a/vol0" rw write:0:4k:2

# By command only, and by force: then the other one is fenced.
"$DSTCTL" reattach vol0 --mount "$T/a" --takeover || fail "reattach"
wait_until 10 call "$T/a/vol0" rw write:0:4k:3 >/dev/null || fail "it does not come back"
expect 4096 call "$T/a/vol0" rw write:0:4k:3
expect EIO call "$T/b/vol0" rw write:0:4k:2
