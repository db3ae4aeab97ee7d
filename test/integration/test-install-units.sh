#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The systemd units are well-formed, start the installed programs, and the mount's unit has no directive that would hide the mount.
# plain: it installs what was built
. "$SRC/test/lib.sh"

need_tool systemd-analyze
make -C "$SRC" -s -o all install "BUILD=$BUILD" DESTDIR="$T" PREFIX=/usr/local
units=$T/usr/local/lib/systemd/system
grep -q '^ExecStart=/usr/local/sbin/dstd ' "$units/dstd.service"
grep -q '^ExecStart=/usr/local/bin/dstfs ' "$units/dstfs@.service"
for unit in dstd dstfs@; do
	grep -q '^OOMScoreAdjust=-' "$units/$unit.service" || fail "$unit may be killed first"
	grep -qx 'LimitMEMLOCK=infinity' "$units/$unit.service" || fail "$unit can't lock its memory"
done
mkdir check
sed "s,/usr/local,$T&," "$units/dstd.service" >check/dstd.service
sed "s,/usr/local,$T&," "$units/dstfs@.service" >check/dstfs@mnt-dst.service
expect "" systemd-analyze verify --man=no check/dstd.service check/dstfs@mnt-dst.service
# Of systemd.exec(5), what gives a service a mount namespace.
! grep -E '^(Private(Tmp|Devices|Mounts|IPC|Users)|Protect[A-Za-z]+|(ReadWrite|ReadOnly|Inaccessible|Exec|NoExec)Paths|Bind[A-Za-z]*Paths|TemporaryFileSystem|Root[A-Za-z]+|MountFlags|MountAPIVFS|DynamicUser)=' \
	"$units/dstfs@.service" || fail "this hides the mount"
