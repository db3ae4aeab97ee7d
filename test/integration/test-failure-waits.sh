#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With resends left, callers of a killed server wait: ls, stat and umount do not, kill -9 ends a waiting dd within a second, and a restart lets the rest go on.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 64M img
start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=forever,reconnect=100ms,timeout=500ms
VOL=$MNT/vol0
wait_online "$VOL"
background dd if=/dev/zero of="$VOL" bs=64k count=1000 oflag=direct conv=notrunc status=none
writer=$JOB
kill -KILL "$DSTD_PID"
wait_until 5 gone "$DSTD_PID"

background dd if="$VOL" of=/dev/null bs=64k iflag=direct status=none
doomed=$JOB
sleep 2
alive "$doomed" || fail "a reader did not wait"
within 1 ls -l "$MNT"
within 1 stat "$VOL" >/dev/null
within 1 stat -f "$MNT" >/dev/null
begin=$(milliseconds)
kill -KILL "$doomed"
wait_until 5 gone "$doomed" || fail "a waiting dd can't be killed"
took=$(($(milliseconds) - begin))
[ $took -lt 1000 ] || fail "a waiting dd took $took ms to die"
for signal in INT TERM; do
	# A shell's background commands ignore SIGINT.
	background env --default-signal=INT dd if="$VOL" of=/dev/null bs=64k iflag=direct status=none
	sleep 0.5
	kill -$signal "$JOB"
	wait_until 2 gone "$JOB" || fail "SIG$signal does not end a waiting dd"
done

alive "$writer" || fail "the writer did not wait"
start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
wait_until 15 gone "$writer" || fail "the writer does not go on"
wait "$writer" || fail "the writer failed"
expect "4096 4096" call "$VOL" rw write:0:4k:7 read:0:4k:7
kill -KILL "$DSTD_PID"
wait_until 5 gone "$DSTD_PID"
within 20 fusermount3 -u "$MNT"
