#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGHUP reads the configuration again: exports and volumes come; a bad file changes nothing.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 1M one two
printf '[export one]\npath = %s\n' "$T/one" >dstd.conf
start_dstd -c "$T/dstd.conf"
printf '[volume one]\nnode = dst://127.0.0.1:%s/one\n' "$PORT" >dstfs.conf
start_dstfs "$T/dstfs.conf"
wait_online "$MNT/one"

printf '[export two]\npath = %s\n' "$T/two" >>dstd.conf
kill -HUP "$DSTD_PID"
printf '[volume two]\nnode = dst://127.0.0.1:%s/two\n' "$PORT" >>dstfs.conf
kill -HUP "$DSTFS_PID"
wait_online "$MNT/two"
expect "4096 4096" call "$MNT/two" rw write:0:4k:7 read:0:4k:7
expect "4096 4096" call "$MNT/one" rw write:0:4k:7 read:0:4k:7

echo nonsense >>dstd.conf
echo nonsense >>dstfs.conf
kill -HUP "$DSTD_PID" "$DSTFS_PID"
wait_until 5 grep -q 'dstd.conf:5' "$DSTD_LOG" || fail "dstd does not say what is wrong"
wait_until 5 grep -q 'dstfs.conf:5' "$DSTFS_LOG" || fail "dstfs does not say what is wrong"
expect "4096 4096" call "$MNT/two" rw write:0:4k:7 read:0:4k:7
stop_dstfs
stop_dstd
