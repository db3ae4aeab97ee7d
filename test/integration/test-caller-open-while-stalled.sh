#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With cache=auto, an open while a write gets no answer neither hangs nor becomes unkillable.
. "$SRC/test/lib.sh"

serve 16M -o cache=auto
kill -STOP "$DSTD_PID"
background python3 "$SRC/test/tools/call.py" "$VOL" rw,direct write:0:4k:7
writer=$JOB
background python3 "$SRC/test/tools/call.py" "$VOL" rw write:1m:4k:7
buffered=$JOB
sleep 0.5
expect ok within 3 python3 "$SRC/test/tools/call.py" "$VOL" ro
expect ok within 3 python3 "$SRC/test/tools/call.py" "$VOL" rw,direct
# Both at once: in this mode the kernel lets one writer of a file at a time through, and the other
# waits for it unkillably.
kill -KILL "$writer" "$buffered"
for pid in $writer $buffered; do
	wait_until 2 gone "$pid" || fail "a writer can't be killed"
done
kill -CONT "$DSTD_PID"
expect "4096 4096" call "$VOL" rw write:2m:4k:7 read:2m:4k:7
stop_dstfs
