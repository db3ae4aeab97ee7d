#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dstctl fail ends all I/O on a frozen server at once, wherever it waits; a write that failed so, or whose caller was killed, keeps its place until the server is back, and never lands on a later one.
. "$SRC/test/lib.sh"

call=$SRC/test/tools/call.py
status() { # a number of the volume's, by its name
	"$DSTCTL" status --json --mount "$MNT" | python3 -c '
import json, sys
volume = json.load(sys.stdin)[0]["volumes"][0]
print({**volume, **volume["counters"]}[sys.argv[1]])' "$1"
}

reaches() { # NAME NUMBER
	[ "$(status "$1")" -ge "$2" ]
}

for workers in 1 3; do
	rm -f img call.*
	serve 64M -o workers=$workers,resends=forever,max_inflight=$((2 * workers))
	kill -STOP "$DSTD_PID"
	background python3 "$call" "$VOL" rw write:0:64k:7 >call.first # under way: others wait for it
	callers=("$JOB")
	wait_until 15 reaches inflight 1 || fail "a writer does not wait for a frozen server"
	for i in {1..3}; do
		background python3 "$call" "$VOL" rw write:0:64k:7 >"call.w$i"
		callers+=("$JOB")
		background python3 "$call" "$VOL" rw "read:$i:4k" >"call.r$i"
		callers+=("$JOB")
		background python3 "$call" "$VOL" rw "write:${i}m:1m:7" >"call.x$i"
		callers+=("$JOB")
	done
	wait_until 15 reaches inflight 10 || fail "callers do not wait for a frozen server: $(cat call.*)"
	expect "10 requests failed" within 2 "$DSTCTL" fail vol0 --mount "$MNT"
	for caller in "${callers[@]}"; do
		wait_until 2 gone "$caller" || fail "a caller still waits"
	done
	expect "10 EIO" sh -c 'cat call.* | sort | uniq -c | sed "s/^ *//"'
	expect "0" status inflight
	held=$(status holds)
	[ "$held" -gt 0 ] || fail "what may yet be carried out holds no range"

	# The next writer of that place waits for the range, and wins.
	waits=$(status waits)
	background python3 "$call" "$VOL" rw write:0:64k:8 >call.next
	next=$JOB
	wait_until 5 reaches waits $((waits + 1)) || fail "the next writer does not wait for the range"
	within 2 ls -l "$MNT" >ls.log
	kill -CONT "$DSTD_PID"
	wait_until 10 gone "$next" || fail "the next writer still waits"
	expect "65536" cat call.next
	expect "65536" call "$VOL" ro read:0:64k:8
	expect "0" status holds

	# The same after a killed one.
	kill -STOP "$DSTD_PID"
	background python3 "$call" "$VOL" rw write:0:64k:9 >call.killed
	killed=$JOB
	wait_until 5 reaches inflight 1 || fail "a writer does not wait for a frozen server"
	kill -KILL "$killed"
	wait_until 2 gone "$killed" || fail "a waiting writer can't be killed"
	expect "1" status holds
	waits=$(status waits)
	background python3 "$call" "$VOL" rw write:4k:64k:10 >call.next
	next=$JOB
	wait_until 5 reaches waits $((waits + 1)) || fail "a killed writer's range was free"
	kill -CONT "$DSTD_PID"
	wait_until 10 gone "$next" || fail "the next writer still waits"
	expect "65536" call "$VOL" ro read:4k:64k:10
	expect "0" status holds
	expect "0 requests failed" "$DSTCTL" fail vol0 --mount "$MNT"
	stop_dstfs
	stop_dstd
done
