#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# bash completes options, their values, -o items and commands.
. "$SRC/test/lib.sh"

PATH=$BUILD:$PATH
. "$SRC/scripts/bash-completion/dstfs"
compopt() { :; }
completes() { # EXPECTED WORD...: the last word is completed
	local expected=$1
	shift
	COMP_LINE="$*" COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
	COMP_POINT=${#COMP_LINE}
	_dstfs_complete "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
	[[ " ${COMPREPLY[*]} " == *" $expected "* ]] ||
		fail "\"${COMPREPLY[*]}\" without \"$expected\" for: $*"
}
completes --read-only dstfs --read
completes --cache= dstfs --ca
completes auto dstfs --cache=a
completes cache= dstfs -o ca
completes read_only,resends= dstfs -o read_only,re
completes --listen= dstd --li
completes status dstctl st
completes --json dstctl status --j
completes reattach dstctl re
completes detach dstctl node de
completes resolve dstctl mirror res
completes max_inflight_bytes= dstctl set vol0 timeout=5s max
completes --takeover dstctl reattach --t
