#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The server's disk fails an fsync, and takes what it should have written for written: the client writes it anew before its own fsync succeeds, or, keeping nothing, reports EIO. Neither is "tried again, worked".
. "$SRC/test/lib.sh"

start_power 16M
start() {
	start_dstd --listen "unix:$T/socket" --export "vol0=$POWER/disk"
}
start
for retain in 64m 0; do
	start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=forever,reconnect=20ms,retain=$retain
	VOL=$MNT/vol0
	wait_online "$VOL"
	expect "1048576 ok" call "$VOL" rw write:0:1m:1 fsync
	expect "1048576" call "$VOL" rw write:0:1m:2
	echo "fsync-errors 1" >"$POWER/control"
	if [ $retain = 0 ]; then
		expect "EIO" call "$VOL" rw fsync
		expect "1048576 ok" call "$VOL" rw write:0:1m:3 fsync
		value=3
	else
		expect "ok" call "$VOL" rw fsync
		value=2
	fi
	kill_dstd
	echo "lose" >"$POWER/control"
	expect "1048576" call "$T/durable" ro read:0:1m:$value
	start
	expect "1048576" call "$VOL" rw read:0:1m:$value

	# Every time: that is an error of the disk, and the caller's.
	expect "1048576" call "$VOL" rw write:0:1m:4
	echo "fsync-errors 1000" >"$POWER/control"
	expect "EIO" call "$VOL" rw fsync
	echo "fsync-errors 0" >"$POWER/control"
	# What was not kept is reported once more: it was lost twice.
	[ $retain != 0 ] || expect "EIO" call "$VOL" rw fsync
	expect "1048576 ok" call "$VOL" rw write:0:1m:5 fsync
	stop_dstfs
done
stop_dstd
