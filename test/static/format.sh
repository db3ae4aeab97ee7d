#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The C code is formatted as .clang-format says.
set -eu
cd "$SRC"
command -v clang-format >/dev/null || { echo "needs clang-format"; exit 77; }
git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror
