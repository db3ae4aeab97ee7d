#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An export over TCP is a file that dd and cmp work with, and keeps what was written over a remount.
. "$SRC/test/lib.sh"

serve 64M
expect 67108864 call "$VOL" path size
expect 100600 call "$VOL" path mode
expect vol0 ls "$MNT"
head -c 20000000 /dev/urandom >random
dd if=random of="$VOL" bs=1M conv=notrunc,fsync status=none
cmp -n 20000000 random "$VOL"
dd if="$VOL" of=back bs=64k count=20000000 iflag=count_bytes status=none
cmp random back
stop_dstfs
cmp -n 20000000 random "$IMG"

start_dstfs "dst://127.0.0.1:$PORT/vol0"
wait_online "$VOL"
cmp -n 20000000 random "$VOL"
cp "$VOL" copy
cmp copy "$IMG"
stop_dstfs
stop_dstd
