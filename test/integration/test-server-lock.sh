#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One dstd at a time writes to a file: a second is refused the export.
. "$SRC/test/lib.sh"

truncate -s 1M img
start_dstd --export "vol0=$T/img"
status=0
within 10 "$DSTD" --foreground --listen 127.0.0.1:0 --export "vol0=$T/img" >second 2>&1 || status=$?
[ $status -ne 0 ] || fail "a second dstd serves the same file"
expect_match "$T/img" cat second
stop_dstd
start_dstd --export "vol0=$T/img"
stop_dstd
