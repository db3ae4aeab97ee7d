# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# mirror.sh - what the tests of mirrors share. Sourced after lib.sh. The configuration is mirror.conf,
# the volume vol0.

declare -A NODE_PID # of the server of a node, by the node's name

# serve_node NAME FILE: a server of its own, with its own state, at a socket that stays: so it can come
# back. Its node is "$(node_uri NAME)".
serve_node() {
	mkdir -p "$T/state.$1"
	STATE_DIRECTORY=$T/state.$1 start_dstd --listen "unix:$T/$1.sock" --export "vol0=$2,lease=1s"
	NODE_PID[$1]=$DSTD_PID
}

node_uri() {
	echo "dst+unix:///vol0?socket=$T/$1.sock"
}

# kill_node NAME: as a crash of its program.
kill_node() {
	DSTD_PID=${NODE_PID[$1]}
	kill_dstd
}

stop_node() {
	DSTD_PID=${NODE_PID[$1]}
	stop_dstd
}

# received NAME: bytes that were written to the node since its server was started.
received() {
	counter dstd "${NODE_PID[$1]}" write_bytes
}

# create_mirror: of mirror.conf's nodes. Sets SIZE, the bytes of data.
create_mirror() {
	within 60 "$DSTCTL" mirror create vol0 --config mirror.conf >create.log ||
		fail "mirror create: $(cat create.log)"
	SIZE=$(sed -n 's/.*(\([0-9]*\) bytes).*/\1/p' create.log | head -n 1)
}

mount_mirror() {
	start_dstfs mirror.conf
	VOL=$MNT/vol0
	wait_online "$VOL"
}

# make_pair LINE...: the mirror of the nodes a and b, whose servers run, in sync and mounted. The lines
# are of its section in the configuration.
make_pair() {
	{
		printf '[dstfs]\nworkers = 2\n[volume vol0]\nmap = mirror\n'
		printf 'node = %s %s\n' a "$(node_uri a)" b "$(node_uri b)"
		printf '%s\n' "timeout = 500ms" "resends = 1" "$@"
	} >mirror.conf
	create_mirror
	mount_mirror
	wait_equal 20
}

# crash_client: SIGKILL for dstfs, and what it leaves is taken away.
crash_client() {
	# shellcheck disable=SC2153 # of lib.sh
	kill -KILL "$DSTFS_PID"
	wait "$DSTFS_PID" 2>/dev/null || true
	umount -l "$MNT"
}

# told EXPRESSION: in python, of m, the first mirror in the status of the volume; mirrors has all.
told() {
	"$DSTCTL" status --json --socket "$(control_socket dstfs "$DSTFS_PID")" | python3 -c '
import json, sys

def find(node):
    if isinstance(node, dict) and node.get("map") == "mirror":
        yield node
    if isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from find(child)

mirrors = list(find(json.load(sys.stdin)))
m = mirrors[0]
print(eval(sys.argv[1]))' "$1"
}

is_told() { # EXPRESSION, true or not
	[ "$(told "bool($1)")" = True ]
}

# wait_told SECONDS EXPRESSION
wait_told() {
	wait_until "$1" is_told "$2" || fail "never $2: $(told m)"
}

# wait_sync SECONDS WORD: all mirrors of the volume are in-sync, degraded, ...
wait_sync() {
	wait_told "$1" "all(x['sync'] == '$2' for x in mirrors)"
}

# wait_equal SECONDS: all nodes hold the same, wherever nobody writes.
wait_equal() {
	wait_told "$1" "all(x['sync'] == 'in-sync' and not x['suspect'] for x in mirrors)"
}
