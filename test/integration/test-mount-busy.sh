#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Unmounting a busy mount is refused, a lazy one ends it when it is free.
. "$SRC/test/lib.sh"

serve 8M
exec 3<>"$VOL"
! unmount "$MNT" || fail "unmounted while a file was open"
expect "4096 4096" call "$VOL" rw write:0:4k:7 read:0:4k:7
fusermount3 -u -z "$MNT"
! is_mounted "$MNT" || fail "still mounted"
alive "$DSTFS_PID" || fail "dstfs ended although a file is open"
expect "4096 ok" call /dev/fd/3 rw write:0:4k:7 fsync
exec 3<&-
wait_until 15 gone "$DSTFS_PID" || fail "dstfs still runs"
