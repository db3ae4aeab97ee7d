#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The C code is formatted as .clang-format says.
set -eu
cd "$SRC"
command -v clang-format >/dev/null || { echo "needs clang-format"; exit 77; }
find common dstfs server dstctl test -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror
