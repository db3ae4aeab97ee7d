#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGHUP to dstd: connected clients learn of other sizes and rights, and are sent away from what is gone.
. "$SRC/test/lib.sh"

config() { # RULE: of the export that is watched
	printf '[export kept]\npath = %s\n[export watched]\npath = %s\n%s\n' "$T/kept" "$T/watched" "$1" \
		>dstd.conf
	[ -z "${DSTD_PID:-}" ] || kill -HUP "$DSTD_PID"
}

watch() { # EXPORT [NAME]
	local name=${2:-$1}
	rm -f "$name.told"
	"$TOOLS/rawclient" "$PORT" --watch "$1" >"$name.told" 2>&1 &
	DAEMONS+=($!)
	wait_until 5 grep -q joined "$name.told" || fail "$name could not join $1"
}

told() { # NAME LINE
	wait_until 8 grep -qx "$2" "$1.told" || fail "$1: not told \"$2\" but: $(cat "$1.told")"
}

export STATE_DIRECTORY=$T/state
truncate -s 1M kept watched
config 'allow = 127.0.0.1 ro'
start_dstd -c "$T/dstd.conf" --workers 2
watch kept
watch watched

# Who was let in to read only has to attach anew to write.
config 'allow = 127.0.0.1 rw'
told watched closed
expect_match 'it may write from now on' cat "$DSTD_LOG"
watch watched

truncate -s 3M watched
told watched "size 3145728" # by itself
truncate -s 2M watched
kill -HUP "$DSTD_PID"
told watched "size 2097152"
config 'allow = 127.0.0.1 ro'
told watched "permissions ro"
watch watched reader
config 'allow = 127.0.0.1 rw'
told watched "permissions rw" # who holds the export
expect joined cat reader.told
config 'deny = 127.0.0.1'
told watched closed
config 'allow = 127.0.0.1 rw'
wait_until 5 grep -q 'reloaded' "$DSTD_LOG"
sleep 0.2
watch watched

# Taken away, put back, and with another path.
printf '[export kept]\npath = %s\n' "$T/kept" >dstd.conf
kill -HUP "$DSTD_PID"
told watched closed
truncate -s 5M other
printf '[export kept]\npath = %s\n[export watched]\npath = %s\n' "$T/kept" "$T/other" >dstd.conf
kill -HUP "$DSTD_PID"
wait_until 8 grep -q 'export watched: .*/other, 5242880 bytes' "$DSTD_LOG" || fail "not put back"
watch watched

# What can't be opened is tried again, and disturbs nobody.
printf '[export late]\npath = %s\n' "$T/late" >>dstd.conf
kill -HUP "$DSTD_PID"
wait_until 5 grep -q 'export late: .*tried again' "$DSTD_LOG" || fail "silent about a missing file"
truncate -s 1M late
wait_until 8 grep -q 'export late: .*, 1048576 bytes' "$DSTD_LOG" || fail "not tried again"
expect joined cat kept.told
stop_dstd
told kept closed
