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
LD_PRELOAD=$preload ALLOC_COUNT=$T/count.dstd start_dstd --export "vol0=$T/img"
# Little is retained, so that the bound is reached before it counts: what is kept grows up to there.
LD_PRELOAD=$preload ALLOC_COUNT=$T/count.dstfs start_dstfs "dst://127.0.0.1:$PORT/vol0" -o retain=1M
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
load 128 3 >/dev/null # fills the pools
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
