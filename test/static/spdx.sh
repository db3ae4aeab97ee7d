#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source file says its licence, and the licence's text is there.
set -eu
cd "$SRC"
grep -q 'GNU GENERAL PUBLIC LICENSE' LICENSE
missing=$(find Makefile .ci common dstfs server dstctl scripts test man -type f ! -name '*.pyc' -print0 |
	xargs -0 grep -L 'SPDX-License-Identifier: GPL-2.0-or-later' || true)
[ -z "$missing" ] || { echo "no SPDX line in: $missing"; exit 1; }
