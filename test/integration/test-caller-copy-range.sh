#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# copy_file_range copies inside one export, on the server.
. "$SRC/test/lib.sh"

serve 16M
expect "1048576 ok" call "$VOL" rw write:0:1m:7 fsync
expect "1048576" call "$VOL" rw copy:0:8m:1m
expect "4096 1048576 4096" call "$VOL" ro read:8188k:4k:0 read:8m:1m:7 read:9m:4k:0
expect "4096 4096" call "$VOL" rw copy:0:12345:4096 read:12345:4k:7
cmp "$VOL" "$IMG"
