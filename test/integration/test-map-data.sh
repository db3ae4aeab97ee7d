#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Linear, stripe and trees of them over two servers and a file: fio finds what it wrote, ext4 is clean, and the nodes hold each byte where the manual says.
# timeout: 200
. "$SRC/test/lib.sh"

need_loop
need_tool fio
truncate -s 96M a c
truncate -s 64M b
start_dstd --listen "unix:$T/socket.a" --export "a=$T/a"
start_dstd --listen "unix:$T/socket.b" --export "b=$T/b" --workers=2

# What a flat file would hold, out of the nodes. linear FILE..., stripe CHUNK FILE...
linear() {
	cat "$@"
}

stripe() {
	python3 -c '
import os, sys
chunk, names = int(sys.argv[1]), sys.argv[2:]
size = min(os.path.getsize(name) for name in names) // chunk * chunk
files = [open(name, "rb") for name in names]
for _ in range(size // chunk):
    for file in files:
        sys.stdout.buffer.write(file.read(chunk))' "$@"
}

# try MAP CHUNK SIZE COMMAND...: the volume has that size in MiB, and holds what the command says.
try() {
	local map=$1 chunk=$2 size=$3
	shift 3
	cat >conf <<-END
		[dstfs]
		workers = 2
		[volume v]
		map = $map
		chunk = $chunk
		node = a dst+unix:///a?socket=$T/socket.a
		node = b dst+unix:///b?socket=$T/socket.b
		node = c file://$T/c
	END
	start_dstfs "$T/conf"
	VOL=$MNT/v
	wait_online "$VOL"
	expect $((size << 20)) stat -c %s "$VOL"
	verified_fio --ioengine=libaio --direct=1 --iodepth=32 --rw=randrw --bsrange=512-1m \
		--bs_unaligned=0 --blockalign=512 --size="${size}m" --io_size=128m
	attach_loop "$VOL"
	mkfs.ext4 -q -F "$LOOP"
	mount_on "$T/disk" "$LOOP"
	cp -r "$SRC/common" "$SRC/test" "$T/disk"
	fstrim "$T/disk"
	unmount_disk "$T/disk" "$LOOP"
	e2fsck -f -n "$LOOP" >/dev/null 2>&1 || fail "e2fsck found something on $map"
	losetup -d "$LOOP"
	cmp <("$@") "$VOL"
	stop_dstfs
}

try linear 64K 256 linear a b c
try stripe 4K 192 stripe 4096 a b c
stripe_then_c() {
	stripe 131072 b a
	cat c
}
try 'linear(stripe(b, a), c)' 128K 224 stripe_then_c
cat_then_stripe() {
	linear c b >joined
	stripe 65536 a joined
	rm joined
}
try 'stripe(a, linear(c, b))' 64K 192 cat_then_stripe
