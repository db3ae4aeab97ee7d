#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk of nbdkit's that is slow, and fails now and then: errors reach the caller as such, all that was acknowledged is there, also over crashes of dstd.
# timeout: 120
. "$SRC/test/lib.sh"

need_root
need_fuse
need_tool nbdkit nbdfuse
mkdir nbd
MOUNTS+=("$T/nbd")
truncate -s 16M backing
background nbdfuse "$T/nbd" --command nbdkit --exit-with-parent -s --filter=error --filter=delay \
	file "$T/backing" rdelay=2ms wdelay=5ms error=EIO error-pwrite-rate=100% error-pread-rate=100% \
	"error-file=$T/broken"
wait_until 10 test -f nbd/nbd
start_dstd --listen "unix:$T/socket" --export "vol0=$T/nbd/nbd"
start_dstfs "dst+unix:///vol0?socket=$T/socket" -o resends=forever,reconnect=50ms,timeout=2s,workers=3
VOL=$MNT/vol0
wait_online "$VOL"
"$TOOLS/ledger" run "$VOL" "$T/ledger" 1000 >ledger.out 2>&1 &
LEDGER_PID=$!
DAEMONS+=($!)
for i in 1 2 3; do
	sleep 0.6
	touch broken
	sleep 0.1
	rm broken
	sleep 0.3
	kill_dstd
	start_dstd --listen "unix:$T/socket" --export "vol0=$T/nbd/nbd"
done
kill -TERM "$LEDGER_PID"
wait_until 20 gone "$LEDGER_PID" || fail "the load hangs"
tail -n 1 ledger.out
grep -q 'Input/output error' ledger.out || fail "no error of the disk was seen: $(cat ledger.out)"
! grep -qvE 'Input/output error|writes,' ledger.out || fail "the load: $(cat ledger.out)"
check_ledger "$VOL" acked
stop_dstfs
stop_dstd
