#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Bits flipped on the wire are detected, both ways, and no wrong byte is stored or delivered.
# timeout: 90
. "$SRC/test/lib.sh"

need_tool fio
need_fuse
truncate -s 128M img
start_dstd --export "vol0=$T/img"
# Prime distances, so that flips wander through headers and payloads.
start_proxy "$PORT" "up flip 3999971,down flip 2999999"
start_dstfs "dst://127.0.0.1:$PORT/vol0" -o resends=100,reconnect=50ms,timeout=2s,cache=none
VOL=$MNT/vol0
wait_online "$VOL"
verified_fio --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bsrange=4k-256k --size=128m \
	--io_size=96m
head -c 32m /dev/urandom >random
dd if=random of="$VOL" bs=256k oflag=direct conv=notrunc,fsync status=none
cmp -n 33554432 random img
cmp -n 33554432 random "$VOL"
digests=$(counter dstfs "$DSTFS_PID" bad_digests)
headers=$(counter dstd "$DSTD_PID" bad_headers)
connects=$(counter dstfs "$DSTFS_PID" connects)
stop_dstfs
end_proxy
echo "$PROXY_SUM"
echo "bad payloads $digests, bad headers at the server $headers, connections $connects"
[ "$(proxy_count flips)" -gt 20 ] || fail "the proxy hardly flipped a bit"
[ "$digests" -gt 5 ] || fail "hardly a flip was detected"
