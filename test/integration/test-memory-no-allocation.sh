#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In steady state neither dstfs nor dstd allocates for an I/O.
# alone
# plain: a sanitizer has an allocator of its own
. "$SRC/test/lib.sh"

need_tool fio
need_fuse
truncate -s 64M img
preload=$TOOLS/alloc_count_preload.so
# Sockets of their own, since somebody may just be asking all daemons of this machine for their status.
LD_PRELOAD="$preload $TOOLS/stalling_preload.so" STALLING=$T ALLOC_COUNT=$T/count.dstd \
	start_dstd --export "vol0=$T/img" --control="$T/run/dstd.sock"
RETAIN=1048576
LD_PRELOAD=$preload ALLOC_COUNT=$T/count.dstfs \
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o "retain=$RETAIN,control=$T/run/dstfs.sock"
VOL=$MNT/vol0
wait_online "$VOL"
load() { # DEPTH SECONDS: prints how many I/Os it did
	fio --name=job --filename="$VOL" --rw=randrw --bs=4k --size=64m --direct=1 --ioengine=libaio \
		--iodepth="$1" --time_based --runtime="$2" --output-format=json |
		python3 -c 'import json, sys
job = json.load(sys.stdin)["jobs"][0]
print(job["read"]["total_ios"] + job["write"]["total_ios"])'
}
counts() { # DAEMON: its own allocations, its libraries'
	od -A n -t u8 -w16 "$T/count.$1"
}
retained() {
	"$DSTCTL" status --json --socket "$T/run/dstfs.sock" | sed -n 's/.*"retained_memory": *\([0-9]*\).*/\1/p'
}
all_is_retained() {
	[ "$(retained)" -ge $RETAIN ]
}
# Fills the pools with the most that there can be at a time: while a flush takes long the client keeps as
# much as it may, and when the server goes on after a standstill it finds all requests at once.
touch flush
load 128 5 >/dev/null &
wait_until 20 all_is_retained || fail "only $(retained) bytes are retained while a flush hangs"
rm flush
for _ in 1 2 3; do
	kill -STOP "$DSTD_PID"
	sleep 0.2
	kill -CONT "$DSTD_PID"
	sleep 0.1
done
wait $!
declare -A own_before libraries_before
for daemon in dstd dstfs; do
	read -r own libraries < <(counts $daemon)
	own_before[$daemon]=$own libraries_before[$daemon]=$libraries
	[ "$own" -gt 0 ] || fail "nothing was counted at all in $daemon"
done
ios=$(load 32 4)
for daemon in dstd dstfs; do
	read -r own libraries < <(counts $daemon)
	own=$((own - own_before[$daemon]))
	libraries=$((libraries - libraries_before[$daemon]))
	echo "$daemon: $ios I/Os, $own allocations of its own, $libraries of its libraries"
	[ "$own" -eq 0 ] || fail "$daemon allocated $own times for $ios I/Os"
done
[ "$ios" -gt 10000 ] || fail "only $ios I/Os"
