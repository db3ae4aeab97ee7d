#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM to dstd: running I/O is finished and answered, no new client is let in, and it ends with status 0.
. "$SRC/test/lib.sh"

need_root
need_tool nbdkit nbdfuse
need_fuse
mkdir nbd
MOUNTS+=("$T/nbd")
background nbdfuse "$T/nbd" --command nbdkit --exit-with-parent -s --filter=delay memory 16M wdelay=2
wait_until 10 test -f nbd/nbd
start_dstd --export "vol0=$T/nbd/nbd"
start_dstfs "dst://127.0.0.1:$PORT/vol0" -o cache=none
wait_online "$MNT/vol0"
call "$MNT/vol0" rw write:0:4k:7 >wrote &
sleep 0.7
kill -TERM "$DSTD_PID"
sleep 0.3
alive "$DSTD_PID" || fail "dstd did not wait for the write"
wait_until 10 gone "$DSTD_PID" || fail "dstd does not end"
status=0
wait "$DSTD_PID" || status=$?
[ $status -eq 0 ] || fail "dstd ended with status $status"
wait_until 3 test -s wrote || fail "the running write was not answered"
expect 4096 cat wrote
expect 4096 call nbd/nbd ro read:0:4k:7
