# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# lib.sh - what the integration tests share. Sourced first by each of them; test/run sets BUILD (the
# programs), SRC (the tree) and TEST_DIR (an empty folder, taken away afterwards).
set -Eeuo pipefail

: "${BUILD:?run this by test/run}" "${SRC:?}" "${TEST_DIR:?}"
. "$SRC/scripts/lib.sh"
trap 'echo "$0:$LINENO: status $? of: $BASH_COMMAND" >&2' ERR

T=$TEST_DIR
MNT=$T/mnt
DSTD=$BUILD/dstd
DSTFS=$BUILD/dstfs
DSTCTL=$BUILD/dstctl
TOOLS=$BUILD/test/tools

export XDG_RUNTIME_DIR=$T/run XDG_CONFIG_HOME=$T/config STATE_DIRECTORY=$T/state HOME=$T
mkdir -m 700 "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME" "$STATE_DIRECTORY"
cd "$T"

fail() {
	trap - ERR
	echo "FAILED: $*" >&2
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

need_tool() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

sanitized() {
	[[ $BUILD == */[at]san ]]
}

need_fuse() {
	[ -w /dev/fuse ] || skip "needs /dev/fuse"
}

need_loop() {
	need_root
	need_fuse
	[ -e /dev/loop-control ] || skip "needs loop devices"
}

# expect TEXT COMMAND...: its output, on one line, must be TEXT.
expect() {
	local want=$1 got
	shift
	got=$("$@" 2>&1) || true
	got=${got//$'\n'/ }
	[ "$got" = "$want" ] || fail "\"$got\" instead of \"$want\" from: $*"
}

# expect_match PATTERN COMMAND...: its output must have a line that matches the extended pattern.
expect_match() {
	local pattern=$1 got
	shift
	got=$("$@" 2>&1) || true
	grep -qE "$pattern" <<<"$got" || fail "nothing like \"$pattern\" in \"$got\" from: $*"
}

# expect_status STATUS COMMAND...
expect_status() {
	local want=$1 status=0
	shift
	"$@" || status=$?
	[ $status -eq "$want" ] || fail "status $status instead of $want from: $*"
}

call() {
	python3 "$SRC/test/tools/call.py" "$@"
}

# within SECONDS COMMAND...: it must be over, whatever came of it, in that time. Status: its own.
within() {
	local status=0
	timeout --kill-after=1 "$@" || status=$?
	case $status in
	124 | 137) fail "took longer than $1 s: ${*:2}" ;;
	esac
	return $status
}

milliseconds() {
	echo $(($(date +%s%N) / 1000000))
}

# An ordinary user's command line is prefixed with "${AS[@]}"; root runs it as nobody then. What it
# uses lies in $T/user, for the tree itself may be closed to others.
AS=()
as_ordinary_user() {
	need_fuse
	[ "$(id -u)" -eq 0 ] || return 0
	need_tool setpriv fusermount3
	install -d -o nobody -g nogroup -m 700 "$T/user" "$T/user/run" "$T/user/state"
	install -m 755 "$DSTD" "$DSTFS" "$DSTCTL" "$SRC/test/tools/call.py" "$T/"
	DSTD=$T/dstd DSTFS=$T/dstfs DSTCTL=$T/dstctl MNT=$T/user/mnt
	AS=(setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all
		env "XDG_RUNTIME_DIR=$T/user/run" "HOME=$T/user" "XDG_CONFIG_HOME=$T/user"
		"STATE_DIRECTORY=$T/user/state")
}

# Daemons. Their cleaning up is registered here, before any exists.
DAEMONS=() MOUNTS=()
STARTED=0
defer stop_all

stop_all() {
	local i status=${status:-0}
	for ((i = ${#MOUNTS[@]} - 1; i >= 0; i--)); do
		! is_mounted "${MOUNTS[i]}" || unmount "${MOUNTS[i]}" || umount -l "${MOUNTS[i]}"
	done
	for ((i = ${#DAEMONS[@]} - 1; i >= 0; i--)); do
		stop_process "${DAEMONS[i]}"
	done
	[ "$status" -eq 0 ] || [ "$status" -eq 77 ] || tail -n 30 "$T"/*.log 2>/dev/null || true
}

unmount() {
	"${AS[@]}" fusermount3 -u "$1"
}

# start_dstd ARGUMENT...: serves on a free port of loopback. Sets DSTD_PID, DSTD_LOG and PORT.
start_dstd() {
	DSTD_LOG=$T/dstd.$((++STARTED)).log
	PORT=
	"${AS[@]}" "$DSTD" --foreground --listen 127.0.0.1:0 "$@" >"$DSTD_LOG" 2>&1 &
	DSTD_PID=$!
	DAEMONS+=($!)
	wait_until 15 dstd_started || fail "dstd is not ready: $(cat "$DSTD_LOG")"
	alive "$DSTD_PID" || fail "dstd ended: $(cat "$DSTD_LOG")"
	PORT=$(listening_port "$DSTD_LOG")
}

listening_port() {
	sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$1" | head -n 1
}

dstd_started() {
	[ -n "$(listening_port "$DSTD_LOG")" ] || gone "$DSTD_PID"
}

# kill_dstd: as a crash of the program does, while its machine goes on.
kill_dstd() {
	kill -KILL "$DSTD_PID"
	wait "$DSTD_PID" 2>/dev/null || true
}

# start_dstfs SOURCE OPTION...: mounts at $MNT. Sets DSTFS_PID and DSTFS_LOG.
start_dstfs() {
	DSTFS_LOG=$T/dstfs.$((++STARTED)).log
	"${AS[@]}" mkdir -p "$MNT"
	MOUNTS+=("$MNT")
	"${AS[@]}" "$DSTFS" --foreground --stop-timeout=3s "$1" "$MNT" "${@:2}" >"$DSTFS_LOG" 2>&1 &
	DSTFS_PID=$!
	DAEMONS+=($!)
	wait_until 15 dstfs_started || fail "dstfs is not ready: $(cat "$DSTFS_LOG")"
	alive "$DSTFS_PID" || fail "dstfs ended: $(cat "$DSTFS_LOG")"
}

dstfs_started() {
	is_mounted "$MNT" || gone "$DSTFS_PID"
}

# The volume's file has its size: the node is there.
online() {
	[ -s "$1" ]
}

wait_online() {
	local file
	for file in "$@"; do
		wait_until 15 "${AS[@]}" test -s "$file" || fail "$file did not come online"
	done
}

# stop_dstfs: unmounts $MNT; dstfs must end well.
stop_dstfs() {
	local status=0
	unmount "$MNT"
	wait_until 15 gone "$DSTFS_PID" || fail "dstfs still runs after the unmount"
	wait "$DSTFS_PID" || status=$?
	[ $status -eq 0 ] || fail "dstfs ended with status $status"
}

# stop_dstd: SIGTERM; it must end well.
stop_dstd() {
	stop_dstd_with 0
}

# stop_dstd_with STATUS: it must end with that status.
stop_dstd_with() {
	local status=0
	kill -TERM "$DSTD_PID"
	wait_until 15 gone "$DSTD_PID" || fail "dstd still runs after SIGTERM"
	wait "$DSTD_PID" || status=$?
	[ $status -eq "$1" ] || fail "dstd ended with status $status"
}

# serve SIZE [OPTION OF DSTFS]...: the common case. A sparse image img of that size, served as vol0
# over TCP and mounted; sets IMG and VOL.
serve() {
	need_fuse
	IMG=${IMG:-$T/img}
	truncate -s "$1" "$IMG"
	start_dstd --export "vol0=$IMG"
	start_dstfs "dst://127.0.0.1:$PORT/vol0" "${@:2}"
	VOL=$MNT/vol0
	wait_online "$VOL"
}

# attach_loop FILE [OPTION OF LOSETUP]...: sets LOOP.
attach_loop() {
	defer detach_loops_of "$1"
	LOOP=$(losetup --find --show "${@:2}" "$1")
}

detach_loops_of() {
	local device
	while read -r device; do
		losetup -d "$device"
	done < <(losetup -nl -O NAME,BACK-FILE | awk -v f="$1" '$2 == f { print $1 }')
}

# mount_on DIRECTORY MOUNT'S-ARGUMENT...
mount_on() {
	mkdir -p "$1"
	defer unmount_if_mounted "$1"
	mount "${@:2}" "$1"
}

# unmount_disk DIRECTORY DEVICE: also when something still looks at what was just mounted; waits until
# nobody holds the device.
unmount_disk() {
	wait_until 10 umount "$1" || fail "$1 stays busy"
	wait_until 20 python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)' "$2" \
		2>/dev/null || fail "$2 stays busy"
}

unmount_if_mounted() {
	! is_mounted "$1" || umount "$1" || umount -l "$1"
}

# The memory that a process holds.
resident_kib() {
	sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status"
}

# counter KIND PID NAME: a number of a daemon's status, of all its exports or volumes together.
counter() {
	"${AS[@]}" "$DSTCTL" status --json --socket "$(control_socket "$1" "$2")" | python3 -c '
import json, sys

def total(node, name):
    if isinstance(node, list):
        return sum(total(item, name) for item in node)
    if isinstance(node, dict):
        return sum(value if key == name and isinstance(value, int) else total(value, name)
                   for key, value in node.items())
    return 0

print(total(json.load(sys.stdin), sys.argv[1]))' "$3"
}

control_socket() {
	local folder
	for folder in "$XDG_RUNTIME_DIR/dstfs" /run/dstfs; do
		[ ! -S "$folder/$1-$2.sock" ] || echo "$folder/$1-$2.sock"
	done
}

# A background command that must be ended with the test. Sets JOB.
background() {
	"$@" &
	JOB=$!
	DAEMONS+=($!)
}

# A number that scripts/acceptance prints.
result() {
	echo "result: $*"
}

# long_or SHORT LONG: how much of it; scripts/acceptance sets DST_LONG.
long_or() {
	if [ -n "${DST_LONG:-}" ]; then
		echo "$2"
	else
		echo "$1"
	fi
}

# start_power SIZE [NAME]: a disk with a volatile cache, $POWER/disk, and its switch, $POWER/control;
# see test/tools/powerdisk.c. What is durable lies in $T/durable; of a disk with a name, all has it.
start_power() {
	need_fuse
	POWER=$T/power${2:+.$2}
	mkdir "$POWER"
	truncate -s "$1" "$T/durable${2:+.$2}"
	MOUNTS=("$POWER" "${MOUNTS[@]}") # goes last
	background "$TOOLS/powerdisk" "$T/durable${2:+.$2}" "$POWER"
	wait_until 10 is_mounted "$POWER" || fail "no power disk"
}

# start_ledger SECONDS [SEED]: the load that keeps account. Sets LEDGER_PID.
start_ledger() {
	"$TOOLS/ledger" run "$VOL" "$T/ledger" "$@" >ledger.out 2>&1 &
	LEDGER_PID=$!
	DAEMONS+=($!)
}

# end_ledger: it must end by itself or by SIGTERM, without an error.
end_ledger() {
	kill -TERM "$LEDGER_PID" 2>/dev/null || true
	wait_until 20 gone "$LEDGER_PID" || fail "the load hangs"
	wait "$LEDGER_PID" || fail "the load: $(cat ledger.out)"
	result "$(tail -n 1 ledger.out)"
}

# check_ledger FILE acked|synced
check_ledger() {
	"$TOOLS/ledger" check "$1" "$T/ledger" "$2" >check.out 2>&1 || fail "$1: $(cat check.out)"
}

# start_proxy PORT [COMMANDS]: puts the fault proxy before a server's port. Sets PORT, to the proxy's.
start_proxy() {
	PROXY_LOG=$T/proxy.$((++STARTED)).log
	mkfifo "$PROXY_LOG.in"
	exec {PROXY_IN}<>"$PROXY_LOG.in"
	"$TOOLS/faultproxy" "$@" <&"$PROXY_IN" >"$PROXY_LOG" &
	PROXY_PID=$!
	DAEMONS+=($!)
	wait_until 5 grep -q listening "$PROXY_LOG" || fail "no proxy: $(cat "$PROXY_LOG")"
	PORT=$(listening_port "$PROXY_LOG")
}

# proxy COMMAND: in force when this returns; see test/tools/faultproxy.c.
proxy() {
	local before
	before=$(wc -l <"$PROXY_LOG")
	echo "$*" >&"$PROXY_IN"
	wait_until 5 proxy_answered "$before" || fail "the proxy doesn't answer: $*"
	tail -n 1 "$PROXY_LOG" | grep -qxF "done $*" || fail "the proxy: $(tail -n 1 "$PROXY_LOG")"
}

proxy_answered() {
	[ "$(wc -l <"$PROXY_LOG")" -gt "$1" ]
}

# Ends the proxy. Sets PROXY_SUM; proxy_count NAME: a number of it.
end_proxy() {
	kill -TERM "$PROXY_PID"
	wait_until 5 grep -q connections, "$PROXY_LOG" || fail "the proxy does not end"
	PROXY_SUM=$(tail -n 1 "$PROXY_LOG")
}

proxy_count() {
	grep -oE "[0-9]+ $1" <<<"$PROXY_SUM" | cut -d' ' -f1
}

# verified_fio ARGUMENT...: fio writes to $VOL, reads back and checks.
verified_fio() {
	need_tool fio
	fio --name=job --filename="$VOL" --verify=crc32c --verify_fatal=1 --do_verify=1 \
		--serialize_overlap=1 --allow_file_create=0 --randrepeat=0 --output=fio.out "$@" ||
		fail "fio: $(cat fio.out)"
	! grep -q 'verify: bad' fio.out || fail "fio: $(cat fio.out)"
}

# stress_filesystem CHECKER... -- MKFS...: a file system on a loop device on the image lives through
# stress-ng's verified work, an unmount and a remount of everything; its own checker judges. {} in
# CHECKER stands for the device.
stress_filesystem() {
	local checker=() mkfs sum device
	need_loop
	need_tool stress-ng
	while [ "$1" != -- ]; do
		checker+=("$1")
		shift
	done
	mkfs=("${@:2}")
	serve 512M
	attach_loop "$VOL" --direct-io=on
	device=$LOOP
	"${mkfs[@]}" "$device"
	mount_on "$T/disk" "$device"
	stress-ng --temp-path "$T/disk" --verify --timeout 60 --no-rand-seed --quiet \
		--hdd 1 --hdd-ops 600 --hdd-bytes 8m --hdd-opts wr-rnd,rd-rnd,fsync \
		--dir 1 --dir-ops 50 --rename 1 --rename-ops 3000 --link 1 --link-ops 10 \
		--seek 1 --seek-ops 2000 --fallocate 1 --fallocate-ops 10 --fallocate-bytes 8m ||
		fail "stress-ng found something"
	cp -r "$SRC/common" "$T/disk/files"
	fstrim "$T/disk"
	unmount_disk "$T/disk" "$device"
	"${checker[@]//"{}"/$device}"
	losetup -d "$device"
	stop_dstfs

	start_dstfs "dst://127.0.0.1:$PORT/vol0"
	wait_online "$VOL"
	attach_loop "$VOL"
	"${checker[@]//"{}"/$LOOP}"
	mount_on "$T/disk" "$LOOP"
	diff -r "$SRC/common" "$T/disk/files"
	unmount_disk "$T/disk" "$LOOP"
	losetup -d "$LOOP"
	stop_dstfs
}
