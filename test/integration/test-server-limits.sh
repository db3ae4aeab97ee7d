#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who says nothing is sent away after ten seconds; who comes when all places are taken, at once; and a
# dstd that has no descriptors left goes on when it has some again.
. "$SRC/test/lib.sh"

export STATE_DIRECTORY=$T/state
truncate -s 1M img
start_dstd --export "rw=$T/img" --max-clients 20

silent() { # COUNT SECONDS: connects so often, says nothing, prints how many were closed by then
	python3 - "$PORT" "$@" <<'PYTHON'
import select, socket, sys, time
port, count, seconds = map(int, sys.argv[1:])
open_ = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
closed, end = 0, time.monotonic() + seconds
while open_ and time.monotonic() < end:
    for s in select.select(open_, [], [], end - time.monotonic())[0]:
        s.recv(1)
        open_.remove(s)
        closed += 1
print(closed)
PYTHON
}

expect 5 silent 25 3
expect_match 'refused 127\.0\.0\.1:[0-9]*: there are 20 connections already' cat "$DSTD_LOG"
expect 3 silent 3 13
expect_match 'refused 127\.0\.0\.1:[0-9]*: it did not say HELLO in time' cat "$DSTD_LOG"
"$TOOLS/rawclient" "$PORT" hello_tells_about_the_export

# Room for five connections.
used=$(find "/proc/$DSTD_PID/fd" -mindepth 1 | wc -l)
prlimit --pid "$DSTD_PID" --nofile=$((used + 5))
silent 15 3
expect_match "can't accept connections for now: Too many open files" cat "$DSTD_LOG"
ticks() {
	awk '{ print $14 + $15 }' "/proc/$DSTD_PID/stat"
}
busy=$(ticks)
silent 15 3
[ $(($(ticks) - busy)) -lt 50 ] || fail "dstd spins while it can't accept"
wait_until 5 "$TOOLS/rawclient" "$PORT" hello_tells_about_the_export
stop_dstd
