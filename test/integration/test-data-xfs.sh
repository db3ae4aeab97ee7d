#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# xfs on a loop device on the image lives through stress and is clean.
# timeout: 150
. "$SRC/test/lib.sh"

grep -qw xfs /proc/filesystems || modprobe -q xfs || skip "no xfs in this kernel"
stress_filesystem xfs_repair -n {} -- mkfs.xfs -q -f
