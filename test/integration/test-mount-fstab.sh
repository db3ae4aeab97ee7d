#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mount -t fuse.dstfs takes what a line of fstab says.
# alone: its mount namespace keeps alive what others unmount meanwhile

# mount(8) finds programs in the system's folders only: in a mount namespace of our own, one of these
# folders holds dstfs.
if [ "$(id -u)" -eq 0 ] && [ -z "${OWN_NAMESPACE:-}" ]; then
	OWN_NAMESPACE=yes exec unshare --mount "$0"
fi
. "$SRC/test/lib.sh"

need_root
need_fuse
mkdir bin
cp "$DSTFS" bin/dstfs
mount --bind bin /usr/local/sbin
truncate -s 8M img
start_dstd --export "vol0=$T/img"
cat >dstfs.conf <<CONF
[volume data]
node = dst://127.0.0.1:$PORT/vol0
CONF
for options in _netdev,nofail defaults,_netdev,ro,noatime,resends=2; do
	mkdir -p "$MNT"
	MOUNTS+=("$MNT")
	within 15 mount -t fuse.dstfs "$T/dstfs.conf" "$MNT" -o "$options,pidfile=$T/pid"
	is_mounted "$MNT" || fail "not mounted"
	DAEMONS+=("$(cat pid)")
	expect "fuse.dstfs $T/dstfs.conf" findmnt -n -r -o FSTYPE,SOURCE "$MNT"
	wait_online "$MNT/data"
	case $options in
	*ro*) expect EROFS call "$MNT/data" rw ;;
	*) expect 4096 call "$MNT/data" rw write:0:4k:7 ;;
	esac
	umount "$MNT"
	wait_until 15 gone "${DAEMONS[-1]}" || fail "dstfs still runs after umount"
done
