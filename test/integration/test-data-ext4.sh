#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ext4 on a loop device on the image lives through stress and is clean.
# timeout: 150
. "$SRC/test/lib.sh"

stress_filesystem e2fsck -f -n {} -- mkfs.ext4 -q -F
