#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel can't write back what dstd has written, and takes it for written: after the failed fsync what is read is what is stored, so that whoever compares it with another copy sees the difference.
. "$SRC/test/lib.sh"

start_power 16M
attach_loop "$POWER/disk"
start_dstd --listen "unix:$T/socket" --export "vol0=$LOOP"
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=forever,retain=0,cache=none
VOL=$MNT/vol0
wait_online "$VOL"
expect "1048576 ok" call "$VOL" rw write:0:1m:1 fsync
expect "1048576" call "$VOL" rw write:0:1m:2
echo "write-errors 1000" >"$POWER/control"
expect "EIO" call "$VOL" rw fsync
echo "write-errors 0" >"$POWER/control"
dd if="$LOOP" of=stored bs=1M count=1 iflag=direct status=none
dd if="$VOL" of=read bs=1M count=1 iflag=direct status=none
cmp stored read
! cmp -s stored <(tr '\0' '\2' </dev/zero | head -c 1M) || fail "the write did not fail"
expect "1048576" call "$VOL" rw write:0:1m:3
until [ "$(call "$VOL" rw fsync)" = ok ]; do # the same loss, told to other openers
	((++failed < 3)) || fail "fsync fails for ever"
done
dd if="$LOOP" of=stored bs=1M count=1 iflag=direct status=none
dd if="$VOL" of=read bs=1M count=1 iflag=direct status=none
cmp stored read
stop_dstfs
stop_dstd
