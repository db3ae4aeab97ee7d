#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The design's rules about who knows whom hold, and the tool that says so finds breaks.
set -eu
"$SRC/scripts/check-includes" --self-test
"$SRC/scripts/check-includes"
