#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mirror's servers are killed by turns under load, each for longer than the resends: no error, nothing wrong is read, each receives what it missed and little else, and then both hold the same.
# tsan
# timeout: 600
. "$SRC/test/lib.sh"
. "$SRC/test/mirror.sh"
need_fuse
need_tool fio

RANGE=$((16 << 20)) # bytes that a round writes into
MORE=$((2 << 20)) # bytes of the mirror's own data, at most
away=$(long_or 1 20)

# load SECONDS OFFSET: writes a range again and again, and checks it between.
load() {
	fio --name=load --filename="$VOL" --rw=randwrite --bs=4k --direct=1 --ioengine=libaio \
		--iodepth=16 --offset="$2" --size=$RANGE --time_based --runtime="$1" --rate_iops=3000 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=512 --do_verify=1 --serialize_overlap=1 \
		--randrepeat=0 --allow_file_create=0 --output=fio.out || fail "fio: $(cat fio.out)"
	! grep -q 'verify: bad' fio.out || fail "fio: $(cat fio.out)"
}

# lose NODE OFFSET before|after: it is killed under load, and comes back before or after the load's end.
lose() {
	local until=$((away + 3)) written again got
	[ "$3" = after ] || until=$((away + 8))
	load $until "$2" &
	loader=$!
	DAEMONS+=($!)
	sleep 1
	kill_node "$1"
	wait_sync 30 degraded
	sleep "$away"
	[ "$3" = before ] || wait $loader || fail "the load failed while $1 was away"
	written=$(counter dstfs "$DSTFS_PID" write_bytes)
	serve_node "$1" "$T/$1.img"
	if [ "$3" = before ]; then
		wait_told 60 "m['sync'] == 'resyncing' or m['sync'] == 'in-sync'"
		wait $loader || fail "the load failed when $1 came back"
	fi
	wait_equal 60
	written=$(($(counter dstfs "$DSTFS_PID" write_bytes) - written))
	# What was not flushed is sent again: a server that was killed may have lost it.
	again=$(told "next(n for n in m['nodes'] if n['name'] == '$1')['durability']['replayed_bytes']")
	got=$(($(received "$1") - written - again + replayed[$1]))
	result "$1, $3 the load's end: received $(received "$1") bytes;" \
		"users wrote $written meanwhile, $((again - replayed[$1])) were sent again"
	replayed[$1]=$again
	[ $got -le $((RANGE + MORE)) ] || fail "$1 received $got bytes that it had not missed"
	cmp -n "$SIZE" a.img b.img || fail "after $1 was back the nodes differ"
}

truncate -s 256M a.img b.img
serve_node a "$T/a.img"
serve_node b "$T/b.img"
make_pair "reconnect = 100ms"
dd if=/dev/urandom of="$VOL" bs=1M count=128 conv=notrunc,fsync oflag=direct status=none
offset=0
declare -A replayed=([a]=0 [b]=0)
for round in after before; do
	for node in a b; do
		lose $node $offset $round
		offset=$((offset + RANGE))
	done
done
stop_dstfs
cmp -n "$SIZE" a.img b.img
