#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel writes back from a shared mapping, on nobody's behalf, waits for a frozen server like any write.
. "$SRC/test/lib.sh"

# Maps the file, waits for a line, changes a page and has it written back.
cat >map.py <<'END'
import mmap, os, sys
with open(sys.argv[1], "r+b") as file:
    mapping = mmap.mmap(file.fileno(), 1 << 20)
    print("mapped", mapping[0], flush=True)
    sys.stdin.readline()
    mapping[:4096] = b"\x07" * 4096
    mapping.flush()
END
mkfifo go
serve 4M -o cache=auto
python3 map.py "$VOL" <go >map.log &
mapper=$!
DAEMONS+=($!)
exec 3>go
wait_until 5 grep -q mapped map.log
kill -STOP "$DSTD_PID"
echo >&3
sleep 3
alive "$mapper" || fail "the write-back did not wait"
kill -CONT "$DSTD_PID"
wait "$mapper" || fail "the write-back failed"
expect "4096" call "$IMG" ro read:0:4k:7
stop_dstfs
