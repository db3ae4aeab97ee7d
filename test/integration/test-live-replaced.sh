#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# While a volume is mounted its export grows (losetup -c sees it), shrinks and is replaced (both refused, never written to), and its rules change.
# timeout: 120
. "$SRC/test/lib.sh"

need_loop
truncate -s 16M img
serve_as() { # IMAGE RULE
	printf '[export vol0]\npath = %s\nlease = 1s\nallow = unix uid 0 %s\n' "$1" "$2" >dstd.conf
	start_dstd --listen "unix:$T/socket" -c "$T/dstd.conf"
}
serve_as "$T/img" rw
start_dstfs "dst+unix:///vol0?socket=$T/socket" \
	-o resends=1,timeout=500ms,reconnect=50ms,ping=300ms,ping_timeout=500ms
VOL=$MNT/vol0
wait_online "$VOL"
attach_loop "$VOL"
is_size() {
	[ "$(stat -c %s "$VOL")" = "$1" ]
}

# Grown, while it serves and while it doesn't.
truncate -s 24M img
wait_until 15 is_size $((24 << 20)) || fail "growth is not noticed"
losetup -c "$LOOP"
expect $((24 << 20)) blockdev --getsize64 "$LOOP"
expect 4096 call "$LOOP" rw,direct write:20m:4k:7
kill_dstd
truncate -s 32M img
serve_as "$T/img" rw
wait_until 15 is_size $((32 << 20)) || fail "growth during an outage is not noticed"
losetup -c "$LOOP"
expect $((32 << 20)) blockdev --getsize64 "$LOOP"
expect "4096 ok" call "$LOOP" rw,direct write:30m:4k:7 fsync
losetup -d "$LOOP"

# Rules.
sed -i 's/ rw$/ ro/' dstd.conf
kill -HUP "$DSTD_PID"
refused() {
	[ "$(call "$VOL" rw,direct write:0:4k:9)" = "$1" ]
}
wait_until 15 refused EROFS || fail "read-only is not noticed: $(call "$VOL" rw,direct write:0:4k:9)"
expect 4096 call "$VOL" ro,direct read:30m:4k:7
sed -i 's/ ro$/ rw/' dstd.conf
kill -HUP "$DSTD_PID"
wait_until 15 refused 4096 || fail "read-write is not noticed: $(call "$VOL" rw,direct write:0:4k:9)"

# Shrunk, then made whole again.
kill_dstd
cp img shrunk
truncate -s 8M img
serve_as "$T/img" rw
wait_until 15 grep -qiE 'small|shrunk|shrank' "$DSTFS_LOG" || fail "a shrunk export: $(cat "$DSTFS_LOG")"
expect_match "EIO|ENOTCONN|EACCES" call "$VOL" rw,direct write:0:4k:8
kill_dstd
expect 4096 call img ro read:0:4k:9
cp shrunk img
serve_as "$T/img" rw
wait_until 15 refused 4096 || fail "not back with the right size: $(tail -n 3 "$DSTFS_LOG")"

# Replaced by another, whatever that is called: nothing of it is touched.
kill_dstd
truncate -s 32M other
STATE_DIRECTORY=$T/other-state
mkdir -m 700 "$STATE_DIRECTORY"
serve_as "$T/other" rw
wait_until 15 grep -qE 'another dstd answers.*refused' "$DSTFS_LOG" || fail "a replaced export: $(cat "$DSTFS_LOG")"
expect_match "EIO|ENOTCONN|EACCES" call "$VOL" rw,direct write:0:4k:8
stop_dstd
expect 33554432 call other ro read:0:32m:0
