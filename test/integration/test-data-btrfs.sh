#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# btrfs on a loop device on the image lives through stress and is clean.
# timeout: 150
. "$SRC/test/lib.sh"

grep -qw btrfs /proc/filesystems || modprobe -q btrfs || skip "no btrfs in this kernel"
stress_filesystem btrfs check --check-data-csum {} -- mkfs.btrfs -q -f
