#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In steady state a mirror neither allocates for an I/O nor writes anything to its nodes but what users do: regions are marked once.
# alone
# plain: a sanitizer has an allocator of its own
. "$SRC/test/lib.sh"

need_tool fio
need_fuse
load() { # DEPTH SECONDS: prints how many writes it did
	fio --name=job --filename="$VOL" --rw=randrw --bs=4k --size=100% --direct=1 --ioengine=libaio \
		--iodepth="$1" --time_based --runtime="$2" --output-format=json |
		python3 -c 'import json, sys
print(json.load(sys.stdin)["jobs"][0]["write"]["total_ios"])'
}
own_allocations() {
	od -A n -t u8 -w16 "$T/count" | awk '{ print $1 }'
}
truncate -s 16M a.img b.img
start_dstd --export "a=$T/a.img" --export "b=$T/b.img"
cat >conf <<END
[volume vol0]
map = mirror
node = a dst://127.0.0.1:$PORT/a
node = b dst://127.0.0.1:$PORT/b
retain = 0
END
"$DSTCTL" mirror create vol0 --config conf >create.log
LD_PRELOAD=$TOOLS/alloc_count_preload.so ALLOC_COUNT=$T/count start_dstfs conf
VOL=$MNT/vol0
wait_online "$VOL"
load 128 3 >/dev/null # touches all regions
[ "$(own_allocations)" -gt 0 ] || fail "nothing was counted at all"
# The pools grow until they have the most that there was at a time: some rounds, and then hardly any more.
for _ in {1..8}; do
	marks=$(counter dstfs "$DSTFS_PID" marks) writes=$(counter dstd "$DSTD_PID" writes)
	allocations=$(own_allocations) # last, since telling its status costs some
	done=$(load 32 2)
	allocations=$(($(own_allocations) - allocations))
	sleep 0.2 # what dstd counts may be behind
	[ "$marks" -gt 0 ] || fail "nothing was marked"
	marks=$(($(counter dstfs "$DSTFS_PID" marks) - marks))
	writes=$(($(counter dstd "$DSTD_PID" writes) - writes))
	echo "$done writes: $writes at the nodes, $marks marks, $allocations allocations"
	[ "$done" -gt 1000 ] || fail "only $done writes"
	[ "$marks" -eq 0 ] || fail "regions were marked again"
	[ "$writes" -eq $((2 * done)) ] || fail "the nodes got more than what was written"
	[ $((100 * allocations)) -ge "$done" ] || exit 0 # what is left is not one for each
done
fail "dstfs allocates for I/Os"
