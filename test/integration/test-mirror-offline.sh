#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dstctl mirror makes a mirror of nodes with data, which stays a plain disk image; inspects, checks and repairs it; loses nothing unless told to; and leaves mounted nodes alone.
. "$SRC/test/lib.sh"
need_loop
need_tool mkfs.ext4 e2fsck

mirror() { # ACTION ARGUMENT...
	within 60 "$DSTCTL" mirror "$1" vol0 --config mirror.conf "${@:2}"
}

json() { # EXPRESSION, m being what inspect says
	mirror inspect --json | python3 -c "
import json, sys
m = json.load(sys.stdin)[0]
print($1)"
}

# One node is local, one remote; the file system ends before what the mirror needs.
truncate -s 64M a.img b.img
mkfs.ext4 -q -b 4096 a.img 16000
mkdir mounted
mount -o loop a.img mounted
defer umount -l mounted
cp -r "$SRC/common" mounted/
umount mounted
cp a.img before.img
start_dstd --export "vol0=$T/b.img"
cat >mirror.conf <<CONF
[volume vol0]
map = mirror
node = a file://$T/a.img
node = b dst://127.0.0.1:$PORT/vol0
CONF

# Nothing is assumed, and nothing is touched while it isn't clear.
expect_status 1 mirror inspect >inspect.log
grep -q "no mirror" inspect.log || fail "nodes without a mirror are not told: $(cat inspect.log)"
expect_match "a and b hold different data; --from NODE" mirror create
expect_match "the mirror has no node c" mirror create --from c
expect_status 2 mirror inspect --force
expect_status 2 mirror nonsense
cmp a.img before.img

# Its data is kept, and the size that is lost is told.
mirror create --from a >create.log
for line in "^vol0: a mirror of 2 nodes, 63\.7 MiB \(66781184 bytes\)$" \
	"^  a: in sync, its data is kept; its last 327680 bytes" "^  b: gets that data when"; do
	grep -qE "$line" create.log || fail "create says $(cat create.log)"
done
cmp -n 66781184 a.img before.img
e2fsck -fn a.img >e2fsck.log 2>&1 || fail "the file system was damaged: $(cat e2fsck.log)"
mount -o loop,ro a.img mounted
diff -r "$SRC/common" mounted/common
umount mounted
expect "('starts', 'in-sync', 'unknown')" json "(m['verdict'], *[n['role'] for n in m['nodes']])"
expect_match "a is a node of a mirror already" mirror create --from a
expect_match "only a is in sync" mirror check

# Repair makes them equal.
expect_match "from NODE must tell" mirror repair
expect_match "b is unknown: what only others have would be lost" mirror repair --from b
expect_match "2 nodes are equal to a; [1-9].* copied" mirror repair --from a
cmp -n 66781184 a.img b.img
expect_match "2 nodes are equal" mirror check
expect_status 0 mirror check >/dev/null

# One byte.
printf X | dd of=a.img bs=1 seek=5000000 conv=notrunc status=none
expect_match "1048576 bytes at 4194304 differ on b" mirror check
expect_status 1 mirror check >/dev/null
expect_match "2 nodes are equal to b; 1.0 MiB copied" mirror repair --from b
expect_status 0 mirror check >/dev/null
cmp -n 66781184 a.img before.img

# Torn superblocks: one is of use, none means that nobody knows.
dd if=/dev/urandom of=a.img bs=64k seek=1020 count=3 conv=notrunc status=none
expect_status 0 mirror inspect >/dev/null
mirror repair --from a >/dev/null
dd if=/dev/urandom of=a.img bs=64k seek=1022 count=1 conv=notrunc status=none
expect_status 0 mirror inspect >/dev/null
for copy in {1020..1023}; do
	printf XXXX | dd of=a.img bs=1 seek=$((copy * 65536 + 100)) conv=notrunc status=none
done
expect_match "digest is wrong" mirror inspect
expect_match "a is no member of the mirror" mirror repair --from b

# By force a new one; equal data needs no --from.
expect_match "not empty|already" mirror create
mirror create --force >create.log
for node in a b; do
	grep -q "$node: in sync;" create.log ||
		fail "equal nodes are not in sync at once: $(cat create.log)"
done

# A tail with something in it.
truncate -s 64M a.img c.img
dd if=/dev/urandom of=c.img bs=64k seek=1021 count=1 conv=notrunc status=none
cat >tail.conf <<CONF
[volume vol0]
map = mirror
node = c file://$T/c.img
node = d file://$T/d.img
CONF
truncate -s 70M d.img
expect_match "the last 327680 bytes of c are not empty" \
	within 60 "$DSTCTL" mirror create vol0 --config tail.conf --from c

# Mounted, it is left alone, and says why.
start_dstfs mirror.conf
wait_online "$MNT/vol0"
expect_match "a: .*(lock|in use|used)" mirror create --force
expect_match "b: .*held by" mirror repair --from a
expect_match "^dstctl: a: " mirror check
stop_dstfs
expect_status 0 mirror check >/dev/null
