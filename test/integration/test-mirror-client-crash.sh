#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The client of a mirror is killed under load, again and again, also while a node is away: what was acknowledged is there afterwards, what was read once stays, only what was written is made equal, and then the nodes hold the same.
# tsan
# timeout: 900
. "$SRC/test/lib.sh"
. "$SRC/test/mirror.sh"
need_fuse

LOADED=$((32 << 20)) # bytes of the image that the load is about
MARKED=$((LOADED + (1 << 20))) # and those that are marked ahead
cycles=$(long_or 3 50)

# crash CYCLE: under load. In every third cycle b is lost before, and known to be; in every third one of
# them is killed just before the client, which has not noted that: so they differ.
crash() {
	start_ledger 1000 "$1"
	sleep 0.$(($1 * 7 % 10 + 3))
	if [ $(($1 % 3)) -eq 2 ]; then
		kill_node b
		wait_sync 30 degraded
		sleep 0.$(($1 % 10))
	fi
	alive "$LEDGER_PID" || fail "the load ended: $(cat ledger.out)"
	if [ $(($1 % 3)) -eq 0 ]; then
		killed=$([ $(($1 % 2)) -eq 0 ] && echo a || echo b)
		kill_node "$killed"
		sleep 0.1
	fi
	crash_client
	wait_until 20 gone "$LEDGER_PID" || fail "the load hangs"
	! grep -q sector ledger.out || fail "the load: $(cat ledger.out)"
}

# recover CYCLE: nobody sees something old, nor new and then old.
recover() {
	local compared
	[ $(($1 % 3)) -ne 0 ] || serve_node "$killed" "$T/$killed.img"
	mount_mirror
	check_ledger "$VOL" acked
	[ $(($1 % 3)) -ne 2 ] || serve_node b "$T/b.img"
	wait_equal 60
	check_ledger "$VOL" acked
	compared=$(told "m['copying']['compared']")
	[ "$compared" -le $((2 * MARKED)) ] || fail "$compared bytes were compared"
	most=$((compared > most ? compared : most))
	cmp -n "$SIZE" a.img b.img || fail "after crash $1 the nodes differ"
}

truncate -s 256M a.img b.img
truncate -s $((LOADED * 16 / 512)) ledger
serve_node a "$T/a.img"
serve_node b "$T/b.img"
make_pair "reconnect = 100ms" "start_wait = 1s"
dd if=/dev/urandom of="$VOL" bs=1M count=128 seek=64 conv=notrunc,fsync oflag=direct status=none
stop_dstfs # cleanly, so that no region is marked
mount_mirror
most=0
for cycle in $(seq "$cycles"); do
	crash "$cycle"
	recover "$cycle"
done
stop_dstfs
result "$cycles crashes; at most $most bytes were compared after one"
check_ledger a.img acked
check_ledger b.img acked
cmp -n "$SIZE" a.img b.img
