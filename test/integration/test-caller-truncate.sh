#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# O_TRUNC and truncation to the same size are accepted and change nothing; any other size is EPERM.
. "$SRC/test/lib.sh"

serve 1M
expect "4096" call "$VOL" rw write:0:4k:7
expect "4096" call "$VOL" rw,trunc read:0:4k:7
expect "ok EPERM EPERM EPERM 1048576" call "$VOL" rw truncate:1m truncate:0 truncate:512k truncate:2m end
expect "ok EPERM 1048576" call "$VOL" path truncate:1m truncate:4k size
dd if=/dev/zero of="$VOL" bs=4k count=1 status=none
expect "4096 4096 1048576" call "$VOL" ro read:0:4k:0 read:4k:4k:0 end
