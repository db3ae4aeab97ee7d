#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server exports the image file of a dstfs mount, and another mount uses that: a volume as a node of another one.
# timeout: 60
. "$SRC/test/lib.sh"

need_fuse
need_tool fio
truncate -s 32M a b c
start_dstd --export "a=$T/a" --export "b=$T/b"
below=$PORT
printf '[volume v]\nmap = stripe\nnode = dst://127.0.0.1:%s/a\nnode = dst://127.0.0.1:%s/b\n' \
	"$below" "$below" >below.conf
MNT=$T/below start_dstfs "$T/below.conf"
wait_online "$T/below/v"
start_dstd --export "v=$T/below/v"
above_server=$DSTD_PID
printf '[volume w]\nmap = linear\nnode = dst://127.0.0.1:%s/v\nnode = file://%s\n' "$PORT" "$T/c" \
	>above.conf
start_dstfs "$T/above.conf"
VOL=$MNT/w
wait_online "$VOL"
expect $((96 << 20)) stat -c %s "$VOL"
verified_fio --ioengine=libaio --direct=1 --iodepth=16 --rw=randrw --bsrange=4k-256k --size=96m \
	--io_size=96m --fsync=64
expect "ok 4096 ok" call "$VOL" rw fallocate:punch+keep:1m:1m read:1m:4k:0 fsync

# It locks what it exports, through the mount too.
within 10 "$DSTD" --foreground --listen 127.0.0.1:0 --export "v=$T/below/v" >second.log 2>&1 &&
	fail "a second server opened it"
expect_match 'in use|locked|another' cat second.log
stop_dstfs
kill -TERM "$above_server"
wait_until 15 gone "$above_server" || fail "the server above still runs"
cmp -n $((64 << 20)) "$T/below/v" <(python3 -c '
import sys
files = [open(name, "rb") for name in sys.argv[1:]]
for _ in range(512):
    for file in files:
        sys.stdout.buffer.write(file.read(65536))' a b)
