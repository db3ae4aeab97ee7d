#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Partitions between two network namespaces, one way, the other way and both, each healed: noticed in bounded time, nothing fails, nothing is lost.
# timeout: 120
. "$SRC/test/lib.sh"

need_root
need_fuse
need_tool ip nft
space=dstfs-test-$$
delete_space() {
	! ip netns list | grep -qw "$space" || ip netns delete "$space"
}
defer delete_space
ip netns add "$space" 2>/dev/null || skip "can't make a network namespace"
number=$(($$ % 250))
ip link add "dt$$" type veth peer name server netns "$space" || skip "can't make a veth pair"
ip addr add "10.251.$number.1/24" dev "dt$$"
ip link set "dt$$" up
ip netns exec "$space" ip addr add "10.251.$number.2/24" dev server
ip netns exec "$space" ip link set server up
ip netns exec "$space" ip link set lo up
ip netns exec "$space" nft -f - <<'END' || skip "can't load nft rules"
table inet cut {
	chain in { type filter hook input priority 0; }
	chain out { type filter hook output priority 0; }
}
END
truncate -s 64M img
ip netns exec "$space" "$DSTD" --foreground --listen "10.251.$number.2:10878" --workers 3 \
	--allow "10.251.$number.0/24 rw" --export "vol0=$T/img" >dstd.log 2>&1 &
DAEMONS+=($!)
wait_until 10 grep -q 'listening on' dstd.log || fail "dstd: $(cat dstd.log)"
start_dstfs "dst://10.251.$number.2/vol0" \
	-o workers=3,resends=forever,reconnect=50ms,timeout=500ms,ping=300ms,ping_timeout=500ms
VOL=$MNT/vol0
wait_online "$VOL"
start_ledger 1000
connects() {
	counter dstfs "$DSTFS_PID" connects
}
reconnected() {
	[ "$(connects)" -ge $((before + 3)) ]
}
lost() {
	[ "$(grep -cE 'lost:|given up' "$DSTFS_LOG")" -gt "$losses" ]
}
for cut in in out "in out"; do
	sleep 0.5
	before=$(connects) losses=$(grep -cE 'lost:|given up' "$DSTFS_LOG" || true)
	for chain in $cut; do
		ip netns exec "$space" nft add rule inet cut "$chain" tcp dport 1-65535 drop
	done
	wait_until 5 lost || fail "a partition ($cut) is not noticed: $(cat "$DSTFS_LOG")"
	sleep 1
	within 1 ls -l "$MNT" >/dev/null
	ip netns exec "$space" nft flush table inet cut
	wait_until 15 reconnected || fail "not back after the partition ($cut): $(cat "$DSTFS_LOG")"
done
sleep 0.5
end_ledger
stop_dstfs
check_ledger img acked
