#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Unknown exports and denied clients: one line with a reason of its own at the client, the address in the server's log.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 1M img
cat >dstd.conf <<CONF
[export closed]
path = $T/img
deny = 127.0.0.1
CONF
start_dstd -c "$T/dstd.conf"
refused() { # EXPORT PATTERN
	start_dstfs "dst://127.0.0.1:$PORT/$1"
	wait_until 10 grep -qiE "$2" "$DSTFS_LOG" || fail "no \"$2\" in: $(cat "$DSTFS_LOG")"
	expect 0 call "$MNT/$1" path size
	expect_match "EACCES|ENOTCONN" within 2 python3 "$SRC/test/tools/call.py" "$MNT/$1" rw
	wait_until 5 grep -qE "127\.0\.0\.1.*$1|$1.*127\.0\.0\.1" "$DSTD_LOG" ||
		fail "dstd's log does not tell who: $(cat "$DSTD_LOG")"
	stop_dstfs
}
refused nosuch 'unknown export|no export|no such export'
refused closed 'denied|not allowed|no permission|may not|not admit'
