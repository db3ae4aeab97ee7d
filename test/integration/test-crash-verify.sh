#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fio verifies while dstd is SIGKILLed and restarted every 2 s, with 1 and with 3 workers on each side: no error, no mismatch.
# timeout: 300
# tsan
. "$SRC/test/lib.sh"

need_tool fio
need_fuse
seconds=$(long_or 5 60)
for workers in 1 3; do
	rm -f img
	truncate -s 128M img
	start_dstd --listen "unix:$T/socket" --workers $workers --export "vol0=$T/img"
	start_dstfs "dst+unix:///vol0?socket=$T/socket" \
		-o resends=forever,reconnect=50ms,timeout=2s,workers=$workers
	VOL=$MNT/vol0
	wait_online "$VOL"
	background fio --name=job --filename="$VOL" --verify=crc32c --verify_fatal=1 --do_verify=1 \
		--serialize_overlap=1 --allow_file_create=0 --randrepeat=0 --ioengine=libaio --direct=1 \
		--iodepth=16 --rw=randrw --bsrange=4k-128k --size=128m --verify_backlog=256 --fsync=200 \
		--time_based --runtime="$seconds" --output=fio.out
	restarts=0
	while sleep 2 && alive "$JOB"; do
		kill_dstd
		start_dstd --listen "unix:$T/socket" --workers $workers --export "vol0=$T/img"
		restarts=$((restarts + 1))
	done
	wait "$JOB" || fail "fio: $(cat fio.out)"
	! grep -q 'verify: bad' fio.out || fail "fio: $(cat fio.out)"
	result "workers $workers: $restarts restarts, $(counter dstfs "$DSTFS_PID" connects) connections"
	[ $restarts -ge 2 ] || fail "only $restarts restarts"
	stop_dstfs
	stop_dstd
done
