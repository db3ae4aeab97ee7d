#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# statfs tells blocks of 4096 bytes and the true total.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 10M one
truncate -s 30M two
start_dstd --export "one=$T/one" --export "two=$T/two"
printf '[volume %s]\nnode = dst://127.0.0.1:'"$PORT"'/%s\n' one one two two >dstfs.conf
start_dstfs "$T/dstfs.conf"
wait_online "$MNT/one" "$MNT/two"
expect "4096 $(((10 + 30) << 20 >> 12))" stat -f -c '%S %b' "$MNT"
