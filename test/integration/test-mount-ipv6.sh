#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same over IPv6, with the address in brackets.
# optional
. "$SRC/test/lib.sh"

need_fuse
[ -s /proc/net/if_inet6 ] || skip "no IPv6 here"
truncate -s 8M img
start_dstd --listen '[::1]:0' --export "vol0=$T/img"
port=$(sed -n 's/.*listening on \[::1\]:\([0-9]*\).*/\1/p' "$DSTD_LOG")
[ -n "$port" ] || fail "no IPv6 port in: $(cat "$DSTD_LOG")"
start_dstfs "dst://[::1]:$port/vol0"
wait_online "$MNT/vol0"
expect "4096 4096" call "$MNT/vol0" rw write:0:4k:7 read:0:4k:7
