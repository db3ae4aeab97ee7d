#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A service manager is told READY=1 by both daemons.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 8M img
cat >listen.py <<'PYTHON'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(20)
while True:
    for line in s.recv(4096).decode().split("\n"):
        print(line, flush=True)
        if line == "STOPPING=1":
            sys.exit()
PYTHON
for daemon in dstd dstfs; do
	background python3 listen.py "$T/notify.$daemon" >"$T/told.$daemon"
	wait_until 5 test -S "$T/notify.$daemon"
	export NOTIFY_SOCKET=$T/notify.$daemon
	if [ $daemon = dstd ]; then
		start_dstd --export "vol0=$T/img"
	else
		start_dstfs "dst://127.0.0.1:$PORT/vol0"
	fi
	wait_until 5 grep -qx READY=1 "$T/told.$daemon" || fail "$daemon did not say READY=1"
done
unset NOTIFY_SOCKET
kill -TERM "$DSTFS_PID" "$DSTD_PID"
for daemon in dstd dstfs; do
	wait_until 15 grep -qx STOPPING=1 "$T/told.$daemon" || fail "$daemon did not say STOPPING=1"
done
