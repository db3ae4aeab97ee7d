#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 180
# dstd keeps to the protocol with clients that do and clients that don't, with one worker and three.
. "$SRC/test/lib.sh"

export STATE_DIRECTORY=$T/state
truncate -s 1M rw denied shared brief
head -c 1M /dev/urandom >ro
truncate -s 1G big
{
	printf '[export %s]\npath = %s\n' rw "$T/rw" big "$T/big"
	printf '[export shared]\npath = %s\nshared = yes\n' "$T/shared"
	printf '[export brief]\npath = %s\nlease = 1s\n' "$T/brief"
	printf '[export ro]\npath = %s\nread_only = yes\n' "$T/ro"
	printf '[export denied]\npath = %s\ndeny = 0.0.0.0/0\n' "$T/denied"
} >dstd.conf

status() {
	"$DSTCTL" --socket "$XDG_RUNTIME_DIR/control" status --json
}

# All have gone, so no lane may be left once their I/O is over.
nobody_left() {
	! status | grep -q '"inflight"'
}

counter_of() {
	"$DSTCTL" --socket "$XDG_RUNTIME_DIR/control" status --json |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[0][sys.argv[1]])' "$1"
}

for workers in 1 3; do
	start_dstd -c "$T/dstd.conf" --workers $workers --control "$XDG_RUNTIME_DIR/control"
	"$TOOLS/rawclient" "$PORT"
	[ "$(counter_of detached_sessions)" -le 256 ] || fail "the server remembers all that left"
	expect_match 'refused 127\.0\.0\.1:[0-9]*: no export is named "nosuch"' cat "$DSTD_LOG"
	for name in executed joined false_retries; do
		expect_match "\"$name\": [1-9]" status
	done
	wait_until 15 nobody_left || fail "lanes are left"
	# Not even those who asked for 2 GiB and took none of it.
	sanitized || [ "$(resident_kib "$DSTD_PID")" -lt $((workers * 400 * 1024)) ] ||
		fail "dstd holds $(resident_kib "$DSTD_PID") KiB"
	stop_dstd
done
