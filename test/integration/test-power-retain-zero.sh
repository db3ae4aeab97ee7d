#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A client that keeps nothing (retain=0) reports a power cut of the server: its next fsync fails with EIO, the one after it speaks for what was written since; without a cut no fsync fails.
. "$SRC/test/lib.sh"

start_power 16M
start() {
	start_dstd --listen "unix:$T/socket" --export "vol0=$POWER/disk"
}
power_cut() {
	kill_dstd
	echo "cut $1" >"$POWER/control"
	start
}
start
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=forever,reconnect=20ms,retain=0
VOL=$MNT/vol0
wait_online "$VOL"
expect "1048576 ok" call "$VOL" rw write:0:1m:1 fsync
power_cut 1
expect "1048576 ok" call "$VOL" rw read:0:1m:1 fsync
expect "1048576" call "$VOL" rw write:1m:1m:2
power_cut 2
expect "EIO ok" call "$VOL" rw fsync fsync
expect_match '1048576 (acknowledged )?bytes|1\.0 MiB' cat "$DSTFS_LOG"
expect "1048576 ok" call "$VOL" rw write:1m:1m:3 fsync
power_cut 3
expect "1048576 1048576 ok" call "$VOL" rw read:0:1m:1 read:1m:1m:3 fsync
stop_dstfs
stop_dstd
