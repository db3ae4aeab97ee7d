#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mirror of three nodes lives through whatever chance brings, as long as one node that is in sync is there: killed and frozen servers, power cuts, killed clients, clean ends; verify never finds a difference.
# timeout: 1800
. "$SRC/test/lib.sh"
. "$SRC/test/mirror.sh"

NODES=(a b c)
declare -A up # 1: its server runs
declare -A cut # 1: it lost what it had not flushed, and only the client has that
RANDOM=${SEED:-$$}
result "SEED=${SEED:-$$}"

start_node() {
	serve_node "$1" "$T/power.$1/disk"
	up[$1]=1
}

# Names of those in sync, as one word.
in_sync() {
	told "''.join(n['name'] for n in m['nodes'] if n['sync'] == 'in-sync')"
}

# May this node go? Another one that is in sync must be there.
is_spare() { # NODE IN-SYNC
	local other
	for other in "${NODES[@]}"; do
		[ "$other" = "$1" ] || [ "${up[$other]}" = 0 ] || [[ $2 != *$other* ]] || return 0
	done
	return 1
}

kill_one() {
	kill_node "$1"
	up[$1]=0
	[ $((RANDOM % 2)) -eq 0 ] || {
		echo "cut $RANDOM" >"$T/power.$1/control"
		cut[$1]=1
	}
}

# Has each node that was cut off got back what it had acknowledged, or left the mirror? If the client dies
# before, only what was flushed is promised.
all_made_good() {
	local node state sync
	while read -r node state sync; do
		[ "$sync" = in-sync ] && { [ "${up[$node]}" = 0 ] || [ "$state" != ready ]; } ||
			cut[$node]=0
		[ "${cut[$node]:-0}" = 0 ] || return 1
	done < <(told "'\n'.join(' '.join((n['name'], n['state'], n['sync'])) for n in m['nodes'])")
}

return_one() {
	local node
	for node in "${NODES[@]}"; do
		[ "${up[$node]}" = 0 ] || continue
		start_node "$node"
		return
	done
}

freeze_one() { # NODE IN-SYNC: for longer than the resends only if it is spare
	kill -STOP "${NODE_PID[$1]}"
	if is_spare "$1" "$2"; then
		sleep $((RANDOM % 3)).$((RANDOM % 10))
	else
		sleep 0.$((RANDOM % 5))
	fi
	kill -CONT "${NODE_PID[$1]}"
}

crash_all_clients() {
	wait_until 30 all_made_good || fail "who was cut off is not made good: $(told m)"
	crash_client
	wait_until 20 gone "$LEDGER_PID" || fail "the load hangs"
	! grep -q sector ledger.out || fail "the load: $(cat ledger.out)"
}

# mount_again IN-SYNC: those are needed, the others may come later.
mount_again() {
	local node
	for node in "${NODES[@]}"; do
		[ "${up[$node]}" = 1 ] || [[ $1 != *$node* && $((RANDOM % 2)) -eq 0 ]] || start_node "$node"
	done
	mount_mirror
	check_ledger "$VOL" acked
	start_ledger 10000 "$RANDOM"
}

# Goes on beside all that; what it finds is in the file differs.
verify_again_and_again() {
	while :; do
		"$DSTCTL" verify vol0 --mount "$MNT" >verify.log 2>&1 || true
		! grep -q differs verify.log || cp verify.log differs
		sleep 0.2
	done
}

step() {
	local node=${NODES[RANDOM % 3]} good
	good=$(in_sync)
	case $((RANDOM % 9)) in
	[0-2]) ! is_spare "$node" "$good" || [ "${up[$node]}" = 0 ] || kill_one "$node" ;;
	[3-5]) return_one ;;
	6) [ "${up[$node]}" = 0 ] || freeze_one "$node" "$good" ;;
	7)
		crash_all_clients
		mount_again "$good"
		;;
	8)
		end_ledger
		stop_dstfs
		mount_again "$good"
		;;
	esac
}

truncate -s $(((24 << 20) * 16 / 512)) ledger # for 24 MiB
for node in "${NODES[@]}"; do
	start_power 40M "$node"
	start_node "$node"
done
cat >mirror.conf <<END
[dstfs]
workers = 3
[volume vol0]
map = mirror
node = a $(node_uri a)
node = b $(node_uri b)
node = c $(node_uri c)
timeout = 1s
resends = 1
reconnect = 50ms
ping = 200ms
ping_timeout = 300ms
start_wait = 2s
END
create_mirror
mount_mirror
wait_equal 20
start_ledger 10000
background verify_again_and_again
for _ in $(seq "$(long_or 12 300)"); do
	sleep 0.$((RANDOM % 9 + 1))
	alive "$LEDGER_PID" || fail "the load ended: $(cat ledger.out)"
	step
done
for node in "${NODES[@]}"; do
	[ "${up[$node]}" = 1 ] || start_node "$node"
done
wait_equal 90
end_ledger
wait_equal 90
check_ledger "$VOL" acked
stop_dstfs
[ ! -e differs ] || fail "verify: $(cat differs)"
for node in "${NODES[@]}"; do
	check_ledger "$T/power.$node/disk" acked
	cmp -n "$SIZE" "$T/power.a/disk" "$T/power.$node/disk" || fail "a and $node differ"
done
