#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that can't make durable what was written: clients are told before the answer, what they send
# again runs again, and sync = yes answers nothing that is not durable.
. "$SRC/test/lib.sh"

case $(stat -f -c %T .) in tmpfs | ramfs) skip "memory has no sync that could fail" ;; esac
truncate -s 1M rw sync
{
	printf '[export rw]\npath = %s\n' "$T/rw"
	printf '[export sync]\npath = %s\nsync = yes\n' "$T/sync"
} >dstd.conf

for workers in 1 3; do
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 FAILING_SYNC=$T/failing \
		LD_PRELOAD=$TOOLS/failing_sync_preload.so \
		start_dstd -c "$T/dstd.conf" --workers $workers
	"$TOOLS/rawclient" "$PORT" --failing "$T/failing"
	expect_match 'export rw: what was written since the last flush may be lost' cat "$DSTD_LOG"
	stop_dstd
done
