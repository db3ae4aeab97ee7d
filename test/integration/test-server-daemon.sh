#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dstd in the background: status 0 when it listens, a reason otherwise; the pid file comes and goes.
. "$SRC/test/lib.sh"

truncate -s 1M img
within 15 "$DSTD" --listen "unix:$T/socket" --export "vol0=$T/img" --pidfile "$T/pid" >out 2>&1 ||
	fail "$(cat out)"
pid=$(cat pid)
DAEMONS+=("$pid")
alive "$pid" || fail "the pid file's process does not run"
[ -S socket ] || fail "it does not listen"
expect / readlink "/proc/$pid/cwd"
kill -TERM "$pid"
wait_until 15 gone "$pid" || fail "dstd does not end"
[ ! -e pid ] || fail "the pid file was left"

status=0
within 15 "$DSTD" --listen "unix:$T/socket" --export "vol0=$T/nowhere" >out 2>&1 || status=$?
[ $status -ne 0 ] || fail "dstd serves a file that does not exist"
expect_match nowhere cat out
