#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two writers under load take an export from one another by command, again and again, dstd killed now and then: each time one is fenced and the other carries on; nobody hangs, and who has it last writes what can be read back.
# tsan
# timeout: 120
. "$SRC/test/lib.sh"

need_fuse
need_tool fio
image=$T/img
truncate -s 64M "$image"
serve_again() {
	start_dstd --workers 3 --listen "unix:$T/socket" --export "vol0=$image,lease=1s"
}
state_is() { # MOUNT STATE
	"$DSTCTL" status --json --mount "$1" | python3 -c '
import json, sys
sys.exit(json.load(sys.stdin)[0]["volumes"][0]["state"] != sys.argv[1])' "$2"
}
serve_again
mounts=("$T/a" "$T/b") pids=()
for mnt in "${mounts[@]}"; do
	MNT=$mnt
	start_dstfs "dst+unix:///vol0?socket=$T/socket" \
		-o workers=3,resends=forever,reconnect=20ms,takeover,cache=none
	wait_online "$MNT/vol0"
	pids+=("$DSTFS_PID")
done
holder=1
for ((round = 1; round <= $(long_or 6 60); round++)); do
	wait_until 15 state_is "${mounts[!holder]}" fenced || fail "round $round: nobody was fenced"
	background fio --name=load --filename="${mounts[holder]}/vol0" --size=32M --rw=randwrite \
		--bsrange=4k-64k --direct=1 --ioengine=libaio --iodepth=16 --time_based --runtime=60 \
		--numjobs=2 --allow_file_create=0 --output=fio.log
	sleep 0.3
	if [ $((round % 3)) -eq 0 ]; then # what is kept is being replayed when the other comes
		kill_dstd
		serve_again
	fi
	"$DSTCTL" reattach vol0 --takeover --mount "${mounts[!holder]}"
	holder=$((!holder))
	wait_until 20 gone "$JOB" || fail "round $round: the load of the one that was fenced goes on"
	! wait "$JOB" || fail "round $round: the load did not fail"
	wait_until 20 state_is "${mounts[holder]}" ready || fail "round $round: the other is not ready"
done
MNT=${mounts[holder]}
expect_match "^(ok|EIO)$" call "$MNT/vol0" rw fsync # what it had lost under an older session is told once
head -c 8M /dev/urandom >new
dd if=new of="$MNT/vol0" bs=1M oflag=direct conv=notrunc,fsync status=none
cmp -n 8388608 new "$image"
result "$((round - 1)) takeovers"
for i in $((!holder)) $holder; do
	kill -TERM "${pids[i]}"
	wait_until 15 gone "${pids[i]}" || fail "it does not end"
done
stop_dstd
