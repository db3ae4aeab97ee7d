#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that takes a second to read slows no client of another export.
# alone
. "$SRC/test/lib.sh"

need_root
need_tool nbdkit nbdfuse fio
need_fuse
mkdir nbd
MOUNTS+=("$T/nbd")
background nbdfuse "$T/nbd" --command nbdkit --exit-with-parent -s --filter=delay memory 64M \
	rdelay=1 wdelay=1
wait_until 10 test -f nbd/nbd
truncate -s 64M img
start_dstd --export "slow=$T/nbd/nbd" --export "fast=$T/img"
MNT=$T/fast.mnt
start_dstfs "dst://127.0.0.1:$PORT/fast"
fast=$MNT/fast
wait_online "$fast"
worst() { # milliseconds of the slowest of many reads and writes
	fio --name=job --filename="$fast" --rw=randrw --bs=4k --size=64m --direct=1 --ioengine=libaio \
		--iodepth=4 --time_based --runtime=3 --output-format=json |
		python3 -c 'import json, sys
job = json.load(sys.stdin)["jobs"][0]
print(max(job[way]["clat_ns"]["max"] for way in ("read", "write")) // 1000000)'
}
echo "worst alone: $(worst) ms"
MNT=$T/slow.mnt
start_dstfs "dst://127.0.0.1:$PORT/slow" -o cache=none
wait_online "$MNT/slow"
background fio --name=load --filename="$MNT/slow" --rw=randrw --bs=4k --size=64m --direct=1 \
	--thread --ioengine=libaio --iodepth=16 --time_based --runtime=30 --output=/dev/null
sleep 1.5
took=$(worst)
echo "worst beside a slow disk: $took ms"
[ "$took" -lt 500 ] || fail "an I/O of the fast export took $took ms"
within 1 "$DSTCTL" status --mount "$MNT" >/dev/null
kill -KILL "$JOB"
wait_until 20 gone "$JOB"
