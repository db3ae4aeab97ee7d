#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The power of a mirror's nodes fails under load and their disks lose what was not flushed: of one node, and nothing is missing; of both and the client, and what was fsynced is there. Then they hold the same.
# tsan
# timeout: 900
. "$SRC/test/lib.sh"
. "$SRC/test/mirror.sh"

# power_cut NODE SEED: its server is gone, and its disk has lost what it had not flushed.
power_cut() {
	kill_node "$1"
	echo "cut $2" >"$T/power.$1/control"
}

nodes_equal() {
	cmp -n "$SIZE" "$T/power.a/disk" "$T/power.b/disk" || fail "the nodes differ: $1"
}

lost() { # NODE
	sed 's/.* \([0-9]*\) lost/\1/' "$T/power.$1/control"
}

start_power 40M a
start_power 40M b
truncate -s $(((32 << 20) * 16 / 512)) ledger # for 32 MiB
serve_node a "$T/power.a/disk"
serve_node b "$T/power.b/disk"
make_pair "reconnect = 50ms" "start_wait = 20s"

# One node: back within the resends, what it lost is sent again; later, it is copied.
start_ledger 1000 1
cycles=$(long_or 4 60)
for ((cycle = 1; cycle <= cycles; cycle++)); do
	node=$([ $((cycle % 4)) -lt 2 ] && echo a || echo b)
	sleep 0.$((cycle % 7 + 2))
	alive "$LEDGER_PID" || fail "the load ended: $(cat ledger.out)"
	power_cut "$node" "$cycle"
	[ $((cycle % 2)) -eq 0 ] || wait_sync 30 degraded
	serve_node "$node" "$T/power.$node/disk"
	wait_sync 60 in-sync
done
end_ledger
wait_equal 60
check_ledger "$VOL" acked
stop_dstfs
check_ledger "$T/power.a/disk" acked
check_ledger "$T/power.b/disk" acked
nodes_equal "after $cycles power cuts of one of them"
result "$cycles cuts of one node; a: $(cat "$T/power.a/control"), b: $(cat "$T/power.b/control")"

# All at once.
cycles=$(long_or 3 50)
for ((cycle = 1; cycle <= cycles; cycle++)); do
	mount_mirror
	start_ledger 1000 $((cycle + 100))
	# Also while most regions are marked for the first time.
	sleep "$([ $((cycle % 2)) -eq 0 ] && echo 0.05 || echo 0.6)"
	kill -KILL "$DSTFS_PID"
	power_cut a $((2 * cycle))
	power_cut b $((2 * cycle + 1))
	umount -l "$MNT"
	wait_until 20 gone "$LEDGER_PID" || fail "the load hangs"
	! grep -q sector ledger.out || fail "the load: $(cat ledger.out)"
	serve_node a "$T/power.a/disk"
	serve_node b "$T/power.b/disk"
	mount_mirror
	check_ledger "$VOL" synced
	wait_equal 60
	check_ledger "$VOL" acked
	nodes_equal "after power cut $cycle"
	stop_dstfs
done
result "$cycles cuts of everything; a: $(cat "$T/power.a/control"), b: $(cat "$T/power.b/control")"
for node in a b; do
	[ "$(lost $node)" -gt 0 ] || fail "the cuts of $node lost nothing"
done
