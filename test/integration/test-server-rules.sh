#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# allow and deny: the first rule that matches decides, by address and by user; without rules loopback is let in.
. "$SRC/test/lib.sh"

need_root
as_ordinary_user
AS_NOBODY=("${AS[@]}")
truncate -s 1M img
chmod 666 img
# Each its own file: an export locks what it writes.
for name in default denied network readonly nobody root file; do
	cp --sparse=always img "img.$name"
	printf '[export %s]\npath = %s\n' $name "$T/img.$name"
	case $name in
	denied) echo 'deny = 127.0.0.0/8' && echo 'allow = 0.0.0.0/0 rw' ;;
	network) echo 'allow = 127.0.0.0/8 rw' && echo 'deny = 0.0.0.0/0' ;;
	readonly) echo 'allow = 127.0.0.1 ro' ;;
	nobody) echo 'allow = unix uid 65534 rw' && echo 'allow = unix uid 0 ro' ;;
	root) echo 'allow = unix uid 0 rw' ;;
	file) echo "allow = @$T/rules" ;;
	esac
done >dstd.conf
printf 'deny 127.0.0.1\nallow 127.0.0.0/8 rw\n' >rules
AS=()
start_dstd -c "$T/dstd.conf" --listen "unix:$T/socket"
chmod 777 socket

# tries HOST-PART EXPORT SUFFIX RESULT: rw, ro or no
tries() {
	local result=no
	MNT=$T/user/mnt.$((++STARTED))
	start_dstfs "$1/$2$3"
	if wait_until 1 "${AS[@]}" test -s "$MNT/$2"; then
		case $("${AS[@]}" python3 "$T/call.py" "$MNT/$2" rw write:0:4k:0) in
		4096) result=rw ;;
		EROFS) result=ro ;;
		esac
	fi
	[ $result = "$4" ] || fail "$result instead of $4 for $2 by ${AS[*]:-root}: $(cat "$DSTFS_LOG")"
	stop_dstfs
}
tcp=dst://127.0.0.1:$PORT unix=dst+unix:// socket="?socket=$T/socket"
tries "$tcp" default '' rw
tries "$tcp" denied '' no
tries "$tcp" network '' rw
tries "$tcp" readonly '' ro
tries "$tcp" nobody '' no
tries "$tcp" file '' no
tries "$unix" default "$socket" rw
tries "$unix" denied "$socket" no
tries "$unix" nobody "$socket" ro
tries "$unix" root "$socket" rw
AS=("${AS_NOBODY[@]}")
tries "$unix" default "$socket" no
tries "$unix" nobody "$socket" rw
tries "$unix" root "$socket" no
