#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Nothing can be created, removed or renamed in the mount: EPERM or EROFS.
. "$SRC/test/lib.sh"

serve 1M
new=$MNT/new
refused() {
	expect_match '^(EPERM|EROFS)$' call "$@"
}
refused "$new" rw,creat
refused "$new" path mkdir
refused "$new" path mknod
refused "$new" path symlink
refused "$VOL" path unlink
refused "$VOL" path "rename:$new"
refused "$VOL" path "link:$new"
expect_match '^(EPERM|EROFS|ENOTDIR)$' call "$VOL" path rmdir
expect ENOENT call "$new" rw
expect vol0 ls "$MNT"
expect "2 1" eval "ls -a '$MNT' | grep -c '^\\.'; ls -ai '$MNT' | grep -c vol0"
