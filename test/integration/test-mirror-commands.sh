#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dstctl is answers scripts by its status; verify finds bit rot in a mirror that is in use and mends it from the node that is right; resync tells how far a node that was away has got.
. "$SRC/test/lib.sh"
need_fuse

ctl() {
	within 60 "$DSTCTL" "$@" --mount "$MNT"
}

is() { # STATE
	"$DSTCTL" is vol0 "$1" --mount "$MNT"
}

start_server() {
	start_dstd --export "vol0=$T/b.img"
}

truncate -s 64M a.img b.img
start_server
cat >mirror.conf <<CONF
[dstfs]
timeout = 1s
resends = 0
[volume vol0]
map = mirror
node = a file://$T/a.img
node = b dst://127.0.0.1:$PORT/vol0
[volume plain]
node = file://$T/plain.img
CONF
truncate -s 1M plain.img
"$DSTCTL" mirror create vol0 --config mirror.conf >create.log
start_dstfs mirror.conf
wait_online "$MNT/vol0"
dd if=/dev/urandom of="$MNT/vol0" bs=1M count=8 conv=notrunc,fsync status=none

expect_status 0 is in-sync
for state in resyncing degraded failed; do
	expect_status 1 is $state
done
expect_match "one of in-sync, resyncing, degraded, failed" is fine
expect_status 2 is fine 2>/dev/null
expect_match "volume plain is not a mirror" ctl is plain in-sync
expect_status 2 ctl is plain in-sync 2>/dev/null
expect_match "there is no volume none" ctl is none in-sync
expect_status 2 ctl is none in-sync 2>/dev/null

# Equal, then not; two alone can't tell who is right.
expect_match "^vol0: 0 B differed" ctl verify vol0
expect_status 0 ctl verify vol0 >/dev/null
printf X | dd of=b.img bs=1 seek=3000000 conv=notrunc status=none
expect_status 1 ctl verify vol0 >verify.log
grep -qE "^  [0-9]+ bytes at [0-9]+: differs: " verify.log || fail "verify says $(cat verify.log)"
expect_match "two nodes alone can.t tell which side is right" ctl verify vol0 --repair
expect_status 1 ctl verify vol0 >/dev/null # so nothing was mended
expect_match "of which [1-9].* was mended" ctl verify vol0 --repair --from a
expect_match "^vol0: 0 B differed" ctl verify vol0
expect_match "none|no verify" ctl verify vol0 --stop

# A node goes and comes back.
expect_match "^vol0: no resync is under way" ctl resync vol0
kill_dstd
dd if=/dev/urandom of="$MNT/vol0" bs=1M count=4 seek=4 conv=notrunc,fsync status=none
wait_until 15 is degraded || fail "the mirror is not degraded: $(ctl status)"
port=$PORT
ctl resync vol0 --pause >/dev/null
DSTD_LOG=$T/dstd.again.log
"$DSTD" --foreground --listen "127.0.0.1:$port" --export "vol0=$T/b.img" >"$DSTD_LOG" 2>&1 &
DAEMONS+=($!)
wait_until 30 is resyncing || fail "no resync begins: $(ctl status)"
expect_match "^vol0: .* of .* done" ctl resync vol0
ctl resync vol0 --resume >/dev/null
expect_match "^vol0: no resync is under way" ctl resync vol0 --watch
wait_until 15 is in-sync || fail "the mirror is not in sync again: $(ctl status)"
stop_dstfs
cmp -n 66781184 a.img b.img
