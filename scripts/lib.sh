# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# lib.sh - what the scripts and the tests share: messages, a clean-up stack, packages.
# Sourced by bash with `set -euo pipefail`.

# What a build needs, what the demo needs beside it, and what the tests need beside both.
BUILD_PACKAGES=(gcc make pkg-config libc6-dev libfuse3-dev libevent-dev libxxhash-dev libjansson-dev
	libinih-dev)
RUN_PACKAGES=(fuse3 util-linux e2fsprogs mount)
TEST_PACKAGES=(attr btrfs-progs busybox-static clang clang-format clang-tidy cpio cppcheck curl fio
	iproute2 kmod libcmocka-dev libnbd-bin mandoc nbdkit nftables procps python3 qemu-system-x86 qemu-utils
	shellcheck stress-ng strace systemd xfsprogs zstd)

# Colours only where a person looks, see https://no-color.org.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
	BOLD='' DIM='' GREEN='' RED='' YELLOW='' PLAIN=''
fi
export BOLD DIM GREEN RED YELLOW PLAIN

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# The clean-up stack: what was deferred runs at exit, last in, first out, however the script ends.
DEFERRED=()

defer() {
	[ ${#DEFERRED[@]} -gt 0 ] || trap run_deferred EXIT
	DEFERRED+=("$(printf '%q ' "$@")")
}

run_deferred() {
	local status=$? i
	set +e
	trap '' INT TERM
	trap - ERR
	for ((i = ${#DEFERRED[@]} - 1; i >= 0; i--)); do
		eval "${DEFERRED[i]}"
	done
	DEFERRED=()
	exit "$status"
}

# A signal ends the script through its clean-up.
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_until SECONDS COMMAND...: polls; fails when the time is over.
wait_until() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

alive() {
	# A zombie has ended.
	[ -e "/proc/$1/stat" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

gone() {
	! alive "$1"
}

is_mounted() {
	grep -qsF " $(realpath -ms "$1") " /proc/self/mounts
}

# stop_process PID [SECONDS]: asks it to end, then insists. Only for processes that we started.
stop_process() {
	alive "$1" || return 0
	kill -CONT "$1" 2>/dev/null || true
	kill -TERM "$1" 2>/dev/null || true
	wait_until "${2:-15}" gone "$1" && return 0
	echo "process $1 did not end on SIGTERM" >&2
	kill -KILL "$1" 2>/dev/null || true
	wait_until 5 gone "$1"
}

missing_packages() {
	local package
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || echo "$package"
	done
}

# install_packages PACKAGE...: what is missing; by root or sudo, else says what is missing.
install_packages() {
	local missing as=()
	if ! command -v dpkg-query >/dev/null; then
		echo "not a Debian system: taking it that the packages named in INSTALL are there"
		return 0
	fi
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		sudo -n true 2>/dev/null ||
			die "these packages are missing, and only root can install them: ${missing[*]}"
		as=(sudo -n)
	fi
	echo "installing: ${missing[*]}"
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
		"${missing[@]}" >/dev/null
}
