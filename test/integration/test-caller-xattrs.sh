#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# user.dstfs.* tells state, nodes, size and session; it cannot be written.
. "$SRC/test/lib.sh"

need_tool getfattr
serve 1M
expect 1048576 call "$VOL" path getxattr:user.dstfs.size
for name in state nodes session; do
	[ -n "$(getfattr --only-values -n user.dstfs.$name "$VOL")" ] || fail "user.dstfs.$name is empty"
done
expect_match "127.0.0.1:$PORT/vol0" getfattr --only-values -n user.dstfs.nodes "$VOL"
expect_match '^user.dstfs.state=' getfattr -d -m 'user\.dstfs\.' "$VOL"
expect "ENODATA" call "$VOL" path getxattr:user.other
expect_match '^(EPERM|EROFS|EOPNOTSUPP|EACCES)$' call "$VOL" path setxattr:user.dstfs.size:1
