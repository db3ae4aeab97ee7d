#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# cppcheck finds nothing.
set -eu
cd "$SRC"
command -v cppcheck >/dev/null || { echo "needs cppcheck"; exit 77; }
mkdir -p "$BUILD/cppcheck"
cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --max-configs=4 \
	--enable=warning,performance,portability --cppcheck-build-dir="$BUILD/cppcheck" \
	--suppress=missingIncludeSystem --suppress=unmatchedSuppression \
	-I. -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DDST_VERSION_TEXT='"0"' \
	common dstfs server dstctl test/tools
