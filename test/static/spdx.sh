#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source file says its licence, and the licence's text is there.
set -eu
cd "$SRC"
grep -q 'GNU GENERAL PUBLIC LICENSE' LICENSE
missing=$(git ls-files '*.c' '*.h' '*.sh' '*.py' Makefile 'scripts/*' test/run .ci/run |
	xargs grep -L 'SPDX-License-Identifier: GPL-2.0-or-later' || true)
[ -z "$missing" ] || { echo "no SPDX line in: $missing"; exit 1; }
