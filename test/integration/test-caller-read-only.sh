#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A read-only volume has mode 0400 and is EROFS at an open for writing, whoever asked for it.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 1M img
printf '[export rw]\npath = %s/img\n[export ro]\npath = %s/img2\nread_only = yes\n' "$T" "$T" >dstd.conf
truncate -s 1M img2
start_dstd -c "$T/dstd.conf"
for what in "rw -r" "rw -o ro" "rw -o read_only" "ro"; do
	# shellcheck disable=SC2086 # words
	set -- $what
	name=$1
	shift
	start_dstfs "dst://127.0.0.1:$PORT/$name" "$@"
	wait_online "$MNT/$name"
	expect 100400 call "$MNT/$name" path mode
	expect EROFS call "$MNT/$name" rw
	expect EROFS call "$MNT/$name" wo,trunc
	expect 4096 call "$MNT/$name" ro read:0:4k:0
	stop_dstfs
done
