#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Client and server die together, and the disk loses what was not flushed: what was fsynced is there.
# timeout: 300
. "$SRC/test/lib.sh"

cycles=$(long_or 4 50)
start_power 32M
for ((cycle = 1; cycle <= cycles; cycle++)); do
	start_dstd --export "vol0=$POWER/disk,lease=1s"
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o workers=$((cycle % 3 + 1))
	VOL=$MNT/vol0
	wait_online "$VOL"
	check_ledger "$VOL" synced
	start_ledger 1000 "$cycle"
	sleep 0.8
	kill -KILL "$DSTFS_PID"
	kill_dstd
	echo "cut $cycle" >"$POWER/control"
	umount -l "$MNT"
	wait_until 10 gone "$LEDGER_PID" || kill -KILL "$LEDGER_PID"
	! grep -q sector ledger.out || fail "the load: $(cat ledger.out)"
	check_ledger "$T/durable" synced
done
result "$cycles cuts, the disk: $(cat "$POWER/control")"
[ "$(sed 's/.* \([0-9]*\) lost/\1/' "$POWER/control")" -gt 0 ] || fail "the cuts lost nothing"
