#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Root makes a file system on a loop device on the image, with and without direct I/O.
. "$SRC/test/lib.sh"

need_loop
serve 128M
for direct in on off; do
	attach_loop "$VOL" "--direct-io=$direct"
	mkfs.ext4 -q -F "$LOOP"
	mount_on "$T/disk" "$LOOP"
	cp -r "$SRC/common" "$T/disk/files"
	fstrim "$T/disk"
	unmount_disk "$T/disk" "$LOOP"
	e2fsck -f -n "$LOOP"
	mount_on "$T/disk" "$LOOP"
	diff -r "$SRC/common" "$T/disk/files"
	unmount_disk "$T/disk" "$LOOP"
	losetup -d "$LOOP"
done
stop_dstfs
e2fsck -f -n "$IMG"
