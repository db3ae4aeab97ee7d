#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Overlapping writers through three workers, on a slow disk: never two of them on the disk together, and what is read is what one order of them leaves.
# plain: a sanitizer must be loaded first
. "$SRC/test/lib.sh"

export OVERLAP_LOG=$T/overlap.txt OVERLAP_DELAY=3
touch "$OVERLAP_LOG"
preload=$TOOLS/overlap_preload.so
need_fuse
truncate -s 1M img
LD_PRELOAD=$preload start_dstd --workers=3 --export "vol0=$T/img"
start_dstfs "dst://127.0.0.1:$PORT/vol0" --workers=3
VOL=$MNT/vol0
wait_online "$VOL"
writes=$(python3 "$SRC/test/tools/overlap.py" "$VOL" 4 16 $((1 << 20)))
waits=$(counter dstfs "$DSTFS_PID" waits)
together=$(sed -n 's/^together: //p' "$OVERLAP_LOG" | tail -n 1)
echo "$writes writes, $waits waited for their range, up to ${together:-0} on the disk together"
! grep -m 3 '^overlap' "$OVERLAP_LOG" || fail "overlapping writes were on the disk together"
[ "$waits" -gt 100 ] || fail "only $waits writes waited: the test shows nothing"
[ "${together:-0}" -gt 1 ] || fail "no two writes were on the disk together"
[ "$(counter dstfs "$DSTFS_PID" holds)" -eq 0 ] || fail "ranges are still held"
stop_dstfs
stop_dstd
