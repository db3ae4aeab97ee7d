#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 900
# clang-tidy's bug finders and the clang analyzer find nothing.
set -eu
cd "$SRC"
command -v clang-tidy >/dev/null || { echo "needs clang-tidy"; exit 77; }
read -ra flags < <(pkg-config --cflags fuse3 libevent_core libxxhash jansson inih)
# Off: what is a matter of taste here; sizeof(pointer) is meant where it stands; the analyzer loses
# count of references (unix.Malloc, ASan watches these) and of va_start (valist).
checks='-*,bugprone-*,clang-analyzer-*,performance-*
	-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier
	-bugprone-narrowing-conversions,-bugprone-implicit-widening-of-multiplication-result
	-bugprone-assignment-in-if-condition,-bugprone-branch-clone,-bugprone-macro-parentheses
	-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling
	-bugprone-suspicious-string-compare,-bugprone-sizeof-expression
	-clang-analyzer-unix.Malloc,-clang-analyzer-valist.Uninitialized
	-clang-analyzer-security.insecureAPI.strcpy,-clang-analyzer-optin.performance.Padding
	-performance-no-int-to-ptr'
tidy() { # FILE...
	clang-tidy --quiet --warnings-as-errors='*' --checks="$(tr -s '\n\t' ',' <<<"$checks")" "$@" -- \
		-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 \
		-DDST_VERSION_TEXT='"0"' -I. "${flags[@]}"
}
# One process a CPU, each with every nth file.
files=(common/*.c dstfs/*.c server/*.c dstctl/*.c)
processes=$(nproc)
jobs=()
for ((first = 0; first < processes; first++)); do
	part=()
	for ((i = first; i < ${#files[@]}; i += processes)); do
		part+=("${files[i]}")
	done
	tidy "${part[@]}" &
	jobs+=($!)
done
status=0
for job in "${jobs[@]}"; do
	wait "$job" || status=1
done
exit $status
