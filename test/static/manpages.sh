#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The man pages are clean mdoc or man(7).
set -eu
cd "$SRC"
command -v mandoc >/dev/null || { echo "needs mandoc"; exit 77; }
mandoc -T lint -W warning man/*.[1-8]
