#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In the background: the parent exits 0 when the mount answers, else with a reason; --pidfile tells who runs.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 8M img
mkdir "$MNT"
MOUNTS+=("$MNT")
within 15 "$DSTFS" "file://$T/img" "$MNT" --pidfile "$T/pid"
expect 4096 call "$MNT/img" rw write:0:4k:7
pid=$(cat pid)
DAEMONS+=("$pid")
alive "$pid" || fail "the pid file's process does not run"
expect dstfs cat "/proc/$pid/comm"
expect / readlink "/proc/$pid/cwd"
unmount "$MNT"
wait_until 15 gone "$pid"
[ ! -e pid ] || fail "the pid file was left"

status=0
within 15 "$DSTFS" "file://$T/img" "$T/nowhere" 2>reason || status=$?
[ $status -ne 0 ] || fail "mounted on a folder that does not exist"
expect 1 eval "wc -l <reason"
expect_match nowhere cat reason

status=0
within 15 "$DSTFS" "file://$T/img" "$MNT" --pidfile "$T/nowhere/pid" 2>reason || status=$?
[ $status -eq 1 ] || fail "status $status without a pid file"
expect "dstfs: error: $T/nowhere/pid: No such file or directory" cat reason
! is_mounted "$MNT" || fail "the mount was left"
