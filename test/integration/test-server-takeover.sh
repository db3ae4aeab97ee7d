#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# A takeover waits for the old writer's I/O, the flush and the state file, however long each takes, and holds up nobody else.
. "$SRC/test/lib.sh"

truncate -s 1M rw brief
mkdir stall
{
	printf '[export rw]\npath = %s\n' "$T/rw"
	printf '[export brief]\npath = %s\nlease = 1s\n' "$T/brief"
} >dstd.conf
for workers in 1 3; do
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 STALLING=$T/stall \
		LD_PRELOAD=$TOOLS/stalling_preload.so \
		start_dstd -c "$T/dstd.conf" --workers $workers
	"$TOOLS/rawclient" "$PORT" --stalling "$T/stall"
	expect_match 'export rw: beta .* takes it over from alpha' cat "$DSTD_LOG"
	stop_dstd
done
