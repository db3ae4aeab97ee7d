#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What rots in one node's file is found by verify while the mirror is in use, and mended from the majority; two nodes alone are told apart by a person only; what one disk can't read is read from another and written there anew.
# timeout: 240
. "$SRC/test/lib.sh"
. "$SRC/test/mirror.sh"
need_fuse
need_tool fio

ctl() {
	within 60 "$DSTCTL" "$@" --mount "$MNT"
}

# rot FILE OFFSET TEXT: is changed to that, behind the mirror's back.
rot() {
	printf %s "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# verify STATUS [OPTION]...: what it says is in verify.log.
verify() {
	local status=0
	ctl verify vol0 "${@:2}" >verify.log 2>&1 || status=$?
	[ $status -eq "$1" ] || fail "verify ${*:2}: status $status: $(cat verify.log)"
}

said() { # PATTERN
	grep -qE "$1" verify.log || fail "verify doesn't say \"$1\" but $(cat verify.log)"
}

equal() {
	cmp -n "$SIZE" a.img b.img && cmp -n "$SIZE" a.img c.img
}

# Three nodes.
truncate -s 64M a.img b.img c.img
serve_node b "$T/b.img"
serve_node c "$T/c.img"
cat >mirror.conf <<END
[dstfs]
workers = 2
[volume vol0]
map = mirror
node = a file://$T/a.img
node = b $(node_uri b)
node = c $(node_uri c)
END
create_mirror
mount_mirror
wait_equal 20
dd if=/dev/urandom of="$VOL" bs=1M count=48 conv=notrunc,fsync oflag=direct status=none
cp a.img good.img
verify 0
said '^vol0: 0 B differed'

# Each rots somewhere else, the first and the last byte among them; a whole block of zeros too.
rot a.img 0 'rot'
rot b.img 20000000 'rot'
rot b.img $((SIZE - 3)) 'rot'
dd if=/dev/zero of=c.img bs=64k count=3 seek=200 conv=notrunc status=none
verify 1
said '^  4096 bytes at 0: differs: a$'
said '^  4096 bytes at 19996672: differs: b$'
said "^  4096 bytes at $((SIZE - 4096)): differs: b\$"
said '^  196608 bytes at 13107200: differs: c$'
said '^vol0: 204\.0 KiB differed, of which 0 B was mended'
verify 0 --repair
said '204\.0 KiB differed, of which 204\.0 KiB was mended'
equal
cmp -n "$SIZE" a.img good.img
verify 0
said '^vol0: 0 B differed'

# Where all are unlike there is no majority: nothing is changed until somebody says who is right.
rot a.img 3000000 'one'
rot b.img 3000000 'two'
verify 1 --repair
said '^  4096 bytes at 2998272: differs: a b c$'
said 'of which 0 B was mended'
verify 0 --repair --from c
equal
cmp -n "$SIZE" a.img good.img

# While it is in use: nothing is found that isn't there, nothing new is undone.
fio --name=load --filename="$VOL" --rw=randwrite --bsrange=4k-64k --direct=1 --ioengine=libaio \
	--iodepth=8 --size=32M --time_based --runtime=6 --rate=40m --verify=crc32c --verify_fatal=1 \
	--verify_backlog=128 --do_verify=1 --serialize_overlap=1 --randrepeat=0 --allow_file_create=0 \
	--output=fio.out &
load=$!
DAEMONS+=("$load")
sleep 0.5
rot b.img 45000000 'rot'
for _ in 1 2 3; do
	verify 0 --repair
done
verify 0
said '^vol0: 0 B differed'
wait "$load" || fail "fio: $(cat fio.out)"
! grep -q 'verify: bad' fio.out || fail "fio: $(cat fio.out)"
stop_dstfs
equal
stop_node c
stop_node b

# Two nodes, one of them a disk with sectors that can't be read.
rm a.img
truncate -s 64M a.img
start_power 64M
serve_node d "$POWER/disk"
cat >mirror.conf <<END
[dstfs]
workers = 2
[volume vol0]
map = mirror
node = a file://$T/a.img
node = d $(node_uri d)
read = prefer d
END
create_mirror
mount_mirror
wait_equal 20
dd if=good.img of="$VOL" bs=1M count=48 conv=notrunc,fsync oflag=direct status=none
rot a.img 5000000 'rot'
verify 1
said '^  4096 bytes at 4997120: differs: a d$'
verify 1 --repair
said "two nodes alone can't tell which side is right.*--from"
verify 0 --repair --from d
said '4\.0 KiB differed, of which 4\.0 KiB was mended'
cmp -n "$SIZE" a.img "$POWER/disk"
cmp -n 48M a.img good.img

# Read by a user: served from the other, and written anew.
mended() {
	grep -q ' 0 bad,' "$POWER/control"
}
echo "bad 2000 9" >"$POWER/control"
echo "bad 60000 1" >"$POWER/control"
dd if="$VOL" bs=1M count=48 iflag=direct status=none | cmp -n 48M - good.img
wait_until 20 mended || fail "what could not be read was not mended: $(cat "$POWER/control")"
is_told "m['sync'] == 'in-sync' and m['copying']['repaired'] > 0" || fail "no repair: $(told m)"
expect_match 'read_errors.: [1-9]' told m

# Found by verify: the one that can be read is right.
echo "bad 70000 1" >"$POWER/control"
verify 1
said '^  4096 bytes at 35840000: unreadable: d$|unreadable: d$'
verify 0 --repair --from a
mended || fail "verify mended nothing: $(cat "$POWER/control")"
verify 0
said '0 B could not be read'
stop_dstfs
cmp -n "$SIZE" a.img "$POWER/disk"
