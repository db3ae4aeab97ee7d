#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A hundred thousand connections of random bytes leave dstd serving, its memory flat.
# timeout: 150
. "$SRC/test/lib.sh"

count=100000
! sanitized || count=5000
truncate -s 8M img
start_dstd --export "vol0=$T/img"
"$TOOLS/noise" 127.0.0.1 "$PORT" $((count / 10)) 1
before=$(resident_kib "$DSTD_PID")
"$TOOLS/noise" 127.0.0.1 "$PORT" $count 2
after=$(resident_kib "$DSTD_PID")
echo "resident: $before KiB, then $after KiB; log: $(wc -l <"$DSTD_LOG") lines"
alive "$DSTD_PID" || fail "dstd died"
sanitized || [ "$after" -le $((before + 1024)) ] || fail "memory grew from $before to $after KiB"
[ "$(wc -l <"$DSTD_LOG")" -lt 10000 ] || fail "the log was flooded"
if [ -w /dev/fuse ]; then
	start_dstfs "dst://127.0.0.1:$PORT/vol0"
	wait_online "$MNT/vol0"
	expect "4096 4096" call "$MNT/vol0" rw write:0:4k:7 read:0:4k:7
	stop_dstfs
fi
stop_dstd
