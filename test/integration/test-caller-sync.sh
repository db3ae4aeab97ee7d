#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fsync, fdatasync, O_SYNC and O_DSYNC reach the storage before they return.
# plain: strace and the leak check exclude each other
. "$SRC/test/lib.sh"

need_tool strace
need_fuse
truncate -s 4M img
"$DSTD" --foreground --listen 127.0.0.1:0 --export "vol0=$T/img" >dstd.log 2>&1 &
DSTD_PID=$! DSTD_LOG=dstd.log
DAEMONS+=($!)
wait_until 15 dstd_started
PORT=$(listening_port dstd.log)
background strace -f -qq -p $DSTD_PID -o trace -e trace=fsync,fdatasync,sync_file_range,pwritev2,syncfs
wait_until 10 grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$DSTD_PID/status" || skip "strace may not attach"
synced() {
	grep -cE 'fdatasync|fsync|RWF_DSYNC|RWF_SYNC' trace || true
}

for cache in none auto; do
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o cache=$cache
	wait_online "$MNT/vol0"
	exec 3<>"$MNT/vol0"
	for operations in "rw write:0:4k:7 fsync" "rw write:0:4k:7 fdatasync" "rw,sync write:0:4k:7" \
		"rw,dsync write:0:4k:7" "rw,direct,dsync write:4k:4k:7"; do
		before=$(synced)
		# shellcheck disable=SC2086 # words
		call "$MNT/vol0" $operations
		[ "$(synced)" -gt "$before" ] || fail "nothing was synced by: $operations ($cache)"
	done
	exec 3>&-
	stop_dstfs
done
