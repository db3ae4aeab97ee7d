#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# The shell scripts are clean of what shellcheck knows.
set -eu
cd "$SRC"
command -v shellcheck >/dev/null || { echo "needs shellcheck"; exit 77; }
find scripts test .ci -type f | while read -r file; do
	case $(head -n 2 "$file" | tr '\n' ' ') in
	'#!/bin/bash'* | '#!/bin/sh'* | *'shellcheck shell'*) echo "$file" ;;
	esac
done | xargs -P "$(nproc)" -n 16 shellcheck -x -e SC1090,SC1091
