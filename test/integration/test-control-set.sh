#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dstctl set takes effect on what waits already, all or nothing; mistakes are told with what would be right.
. "$SRC/test/lib.sh"

shown() { # an option in status
	"$DSTCTL" status --json --mount "$MNT" | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["volumes"][0]["options"][sys.argv[1]])' "$1"
}

refused() { # STATUS PATTERN ARGUMENT...
	local want=$1 pattern=$2 status=0
	shift 2
	"$DSTCTL" "$@" >out 2>&1 || status=$?
	[ $status -eq "$want" ] || fail "status $status instead of $want from dstctl $*: $(cat out)"
	expect_match "^dstctl: .*$pattern" cat out
	expect "1" sh -c 'wc -l <out' # one line
}

serve 1M -o workers=3,resends=forever,timeout=1h
expect "3600000" shown timeout_ms
expect "forever" shown resends
kill -STOP "$DSTD_PID"
background python3 "$SRC/test/tools/call.py" "$VOL" rw write:0:4k:7 >call.1
first=$JOB
sleep 0.5
background python3 "$SRC/test/tools/call.py" "$VOL" rw write:0:4k:8 >call.2 # waits for the first one's range
second=$JOB
sleep 0.5

refused 1 'resends: "lots" doesn.t fit; write a number' set vol0 timeout=200ms resends=lots --mount "$MNT"
refused 1 'no option tiemout; did you mean timeout' set vol0 tiemout=1s --mount "$MNT"
refused 1 'cache can.t change while' set vol0 cache=auto --mount "$MNT"
refused 1 'no volume vol7' set vol7 timeout=1s --mount "$MNT"
refused 2 'write KEY=VALUE' set vol0 timeout
refused 2 'given twice' set vol0 timeout=1s timeout=2s
refused 2 'set needs VOLUME KEY=VALUE' set vol0
refused 2 'set doesn.t know --takeover' set vol0 timeout=1s --takeover
expect "3600000" shown timeout_ms
alive "$first" || fail "a refused change took effect"

"$DSTCTL" set vol0 timeout=200ms resends=1 max-inflight=7 max_inflight_bytes=2M retain=1M --mount "$MNT"
expect "200" shown timeout_ms
expect "1" shown resends
expect "7" shown max_inflight
expect "2097152" shown max_inflight_bytes
expect "1048576" shown retain
for caller in "$first" "$second"; do
	wait_until 5 gone "$caller" || fail "a caller is as patient as before"
done
expect "EIO EIO" cat call.1 call.2
kill -CONT "$DSTD_PID"
"$DSTCTL" set vol0 timeout=1m resends=forever --mount "$MNT"
expect "4096" call "$VOL" rw write:0:4k:9

# Two mounts with a volume of that name: one must be picked. A file can't be taken over.
mkdir files
truncate -s 1M files/vol0
first_mount=$MNT
MNT=$T/second.mnt
start_dstfs "file://$T/files/vol0"
wait_online "$MNT/vol0"
refused 1 '[0-9]+ mounts have a volume vol0; pick one with --mount' fail vol0
"$DSTCTL" set vol0 timeout=7s --mount "$first_mount"
expect "30000" shown timeout_ms
refused 1 'nobody can take it over' reattach vol0 --takeover --mount "$MNT"
stop_dstfs
