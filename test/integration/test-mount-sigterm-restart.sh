#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM while the server is being restarted: what that has lost is written anew and flushed, over all lanes, before dstfs ends.
. "$SRC/test/lib.sh"

need_fuse
for workers in 1 3; do
	image=$T/img$workers
	truncate -s 64M "$image"
	start_dstd --listen "unix:$T/socket" --export "vol0=$image"
	start_dstfs "dst+unix:///vol0?socket=$T/socket" \
		-o workers=$workers,stop_timeout=20s,reconnect=50ms,cache=none
	VOL=$MNT/vol0
	wait_online "$VOL"
	expect "1048576" call "$VOL" rw write:0:1m:7
	kill_dstd
	kill -TERM "$DSTFS_PID"
	sleep 0.5
	start_dstd --listen "unix:$T/socket" --export "vol0=$image"
	wait_until 15 gone "$DSTFS_PID" || fail "dstfs still runs ($workers workers)"
	expect_status 0 wait "$DSTFS_PID"
	expect_match 'wrote anew what the server had lost: 1048576 bytes' cat "$DSTFS_LOG"
	stop_dstd
done
