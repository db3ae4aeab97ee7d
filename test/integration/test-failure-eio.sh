#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With the resends used up, callers of a killed server get EIO; the volume comes back by itself.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 64M img
start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=2,reconnect=100ms,timeout=300ms
VOL=$MNT/vol0
wait_online "$VOL"
mkfifo go
call "$VOL" rw,direct write:0:4k:7 >/dev/null
# Opened while the server is there, used when it is gone.
use_it() {
	read -r <go
	dd of=/dev/fd/3 bs=4k count=1 oflag=direct conv=notrunc if=/dev/zero || true
	dd if=/dev/fd/4 bs=4k count=1 iflag=direct of=/dev/null || true
	sync /dev/fd/3 || true
}
exec 3<>"$VOL"
exec 4<"$VOL"
use_it >errors 2>&1 &
JOB=$!
DAEMONS+=($!)
exec 3<&- 4<&-
kill -KILL "$DSTD_PID"
wait_until 5 gone "$DSTD_PID"
echo >go
wait_until 15 gone $JOB || fail "callers do not get EIO"
cat errors
[ "$(grep -c 'Input/output error' errors)" -ge 2 ] || fail "another error than EIO"
within 1 ls -l "$MNT"
within 1 stat -f "$MNT" >/dev/null

start_dstd --listen "unix:$T/socket" --export "vol0=$T/img"
works() {
	[ "$(call "$VOL" rw write:0:4k:7 read:0:4k:7 | tr '\n' ' ')" = "4096 4096 " ]
}
wait_until 10 works || fail "the volume did not come back"
stop_dstfs
