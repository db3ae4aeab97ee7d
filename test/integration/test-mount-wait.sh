#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With wait=SEC an open waits for an absent node, and no longer.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 8M img
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o wait=20s
(sleep 1; exec "$DSTD" --foreground --listen "unix:$T/socket" --export "vol0=$T/img" >dstd.log 2>&1) &
DAEMONS+=($!)
expect "4096" within 15 python3 "$SRC/test/tools/call.py" "$MNT/vol0" rw write:0:4k:7
stop_dstfs

start_dstfs "dst+unix:///vol0?socket=$T/nothing" -o wait=1s
begin=$(milliseconds)
expect ENOTCONN within 10 python3 "$SRC/test/tools/call.py" "$MNT/vol0" rw
[ $(($(milliseconds) - begin)) -ge 900 ] || fail "it did not wait"
stop_dstfs
