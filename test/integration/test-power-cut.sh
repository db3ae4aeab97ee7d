#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The server's power fails under load and its disk loses what was not flushed: what the client had acknowledged is there when it is back, all of it.
# tsan
# timeout: 300
. "$SRC/test/lib.sh"

cycles=$(long_or 5 100)
start_power 32M
for workers in 1 3; do
	rm -f ledger
	start_dstd --listen "unix:$T/socket" --workers $workers --export "vol0=$POWER/disk"
	start_dstfs "dst+unix:///vol0?socket=$T/socket" \
		-o resends=forever,reconnect=20ms,timeout=2s,workers=$workers,retain=64m
	VOL=$MNT/vol0
	wait_online "$VOL"
	# What the first pass left is not in a new ledger.
	fallocate --zero-range --keep-size --length 32M "$VOL"
	start_ledger 1000 $workers
	for ((cycle = 1; cycle <= cycles; cycle++)); do
		sleep 0.$((cycle % 7 + 2))
		alive "$LEDGER_PID" || fail "the load ended: $(cat ledger.out)"
		kill_dstd
		echo "cut $((cycle * workers))" >"$POWER/control"
		start_dstd --listen "unix:$T/socket" --workers $workers --export "vol0=$POWER/disk"
	done
	end_ledger
	result "workers $workers: $cycles cuts, the disk: $(cat "$POWER/control")"
	check_ledger "$VOL" acked
	stop_dstfs
	stop_dstd
	check_ledger "$T/durable" acked
	result "workers $workers: all that was acknowledged is on the disk"
done
[ "$(sed 's/.* \([0-9]*\) lost/\1/' "$POWER/control")" -gt 0 ] || fail "the cuts lost nothing"
