#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# fio verifies what it writes, over one lane and over three, while dstd is killed and started again and again: no error, no mismatch, and what had run is not run twice.
. "$SRC/test/lib.sh"

need_tool fio
need_fuse

# killed WORKERS
killed() {
	local image=$T/img$1 job restarts=0 executed
	truncate -s 64M "$image"
	start_dstd --workers "$1" --listen "unix:$T/socket" --export "vol0=$image"
	start_dstfs "dst+unix:///vol0?socket=$T/socket" \
		-o workers="$1",cache=none,reconnect=20ms,timeout=5s,resends=forever,retain=16M
	wait_online "$MNT/vol0"
	background fio --name=job --filename="$MNT/vol0" --size=64m --rw=randwrite --bsrange=4k-64k \
		--direct=1 --ioengine=libaio --iodepth=16 --fsync=200 --verify=crc32c --do_verify=1 \
		--serialize_overlap=1 --loops=2 --rate=,24m --output="$T/fio$1.log"
	job=$JOB
	while alive "$job" && [ $restarts -lt 30 ]; do
		sleep 0.6
		kill -KILL "$DSTD_PID"
		wait_until 5 gone "$DSTD_PID" || fail "dstd lives on"
		start_dstd --workers "$1" --listen "unix:$T/socket" --export "vol0=$image"
		restarts=$((restarts + 1))
	done
	wait_until 60 gone "$job" || fail "fio hangs: $("$DSTCTL" status)"
	wait "$job" || fail "fio failed: $(cat "$T/fio$1.log")"
	[ $restarts -ge 3 ] || fail "only $restarts restarts while it wrote"
	[ "$(counter dstfs "$DSTFS_PID" recoveries)" -ge $((restarts - 1)) ] || fail "restarts went unnoticed"
	[ "$(counter dstfs "$DSTFS_PID" replayed_bytes)" -gt 0 ] || fail "nothing was written anew"
	[ "$(counter dstfs "$DSTFS_PID" losses)" -eq 0 ] || fail "something was lost"
	executed=$(counter dstfs "$DSTFS_PID" executed)
	echo "$1 workers: $restarts restarts, $(counter dstfs "$DSTFS_PID" replayed_bytes) bytes written anew, $executed answers told late"
	stop_dstfs
	stop_dstd
}

killed 1
killed 3
