#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lseek finds data and holes of the server's file.
. "$SRC/test/lib.sh"

serve 16M
expect "65536 ok" call "$VOL" rw write:8m:64k:7 fsync
expect "8388608 8388608 8454144 0 8396800 ENXIO 9437184" call "$VOL" ro \
	data:0 data:8m hole:8m hole:0 data:8200k data:9m hole:9m
expect "ENXIO ENXIO 16777216" call "$VOL" ro data:16m hole:17m end
cp --sparse=never "$VOL" copy
cmp copy "$IMG"
