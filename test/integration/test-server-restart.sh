#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# What dstd remembers over starts and reloads: epoch and holder of an export, and by its instance id whether anything that was answered may be lost.
. "$SRC/test/lib.sh"

config() { # LINE...: of the file, beside the export brief
	printf '%s\n' "[export brief]" "path = $T/brief" "lease = 1s" "$@" >dstd.conf
}

rw=("[export rw]" "path = $T/rw")
truncate -s 1M rw brief
mkdir stall
config "${rw[@]}"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 STALLING=$T/stall FAILING_SYNC=$T/failing
# A dstd that gives up leaves its threads behind.
export TSAN_OPTIONS=${TSAN_OPTIONS:-}:report_thread_leaks=0

begin() {
	start_dstd -c "$T/dstd.conf" --workers 2 "$@"
}

crash() {
	kill -KILL "$DSTD_PID"
	wait_until 5 gone "$DSTD_PID" || fail "dstd lives on"
}

# hello EXPORT CLIENT ARGUMENT...: sets STATUS, EPOCH, INSTANCE and REASON.
hello() {
	"$TOOLS/rawclient" "$PORT" --hello "$@" >told || fail "hello $*"
	read -r STATUS EPOCH INSTANCE REASON <told
}

# expect_hello STATUS EXPORT CLIENT ARGUMENT...
expect_hello() {
	local want=$1
	shift
	hello "$@"
	[ "$STATUS" = "$want" ] || fail "hello $*: $STATUS instead of $want: $REASON"
}

granted() {
	hello "$@" && [ "$STATUS" = 0 ]
}

BUSY=16 STALE=116

# A crash: the holder goes on in its epoch, nobody else before the lease is over, and the instance is another.
begin
expect_hello 0 rw alpha
expect_hello 0 brief delta
expect_hello 0 rw alpha
epoch=$EPOCH instance=$INSTANCE
crash
begin
expect_hello $BUSY rw beta
[[ $REASON == "held by alpha since 20"* ]] || fail "beta was told: $REASON"
expect_hello 0 rw alpha "epoch=$epoch"
[ "$EPOCH" = "$epoch" ] || fail "the epoch is $EPOCH instead of $epoch"
[ "$INSTANCE" != "$instance" ] || fail "nobody is told of the crash"
wait_until 10 granted brief epsilon || fail "the lease is not over: $REASON"
instance=$INSTANCE

# A clean stop: all is as before.
hello rw alpha
instance=$INSTANCE
stop_dstd
begin
expect_hello 0 rw alpha "epoch=$epoch"
[ "$INSTANCE" = "$instance" ] || fail "a clean stop changed the instance"
stop_dstd

# A start that fails, before anybody was let in, spoils nothing.
expect_status 1 "$DSTD" --foreground -c "$T/dstd.conf" --listen "unix:$T/nowhere/socket" 2>failed.log
begin
expect_hello 0 rw alpha "epoch=$epoch"
[ "$INSTANCE" = "$instance" ] || fail "a failed start changed the instance"

# Taken off by a reload, and offered again: flushed between, so all is as before.
config
kill -HUP "$DSTD_PID"
wait_until 5 grep -q 'export rw: no longer offered' "$DSTD_LOG" || fail "it is still offered"
config "${rw[@]}"
kill -HUP "$DSTD_PID"
wait_until 10 granted rw alpha "epoch=$epoch" || fail "it is not offered again: $REASON"
[ "$INSTANCE" = "$instance" ] || fail "a reload changed the instance"

# Released by CLOSE, which is remembered too.
expect_hello 0 rw alpha "epoch=$epoch" close
stop_dstd
begin
expect_hello 0 rw beta
[ "${EPOCH%%-*}" -eq $((${epoch%%-*} + 1)) ] || fail "the epoch is $EPOCH after $epoch"
expect_hello $STALE rw alpha "epoch=$epoch"
epoch=$EPOCH

# One that only reads beside it stores nothing of it.
hello rw beta
instance=$INSTANCE
main=$DSTD_PID
printf '%s\n' "${rw[@]}" "read_only = yes" >reader.conf
start_dstd -c "$T/reader.conf"
reader=$DSTD_PID
reader_port=$PORT
PORT=$(listening_port "$T/dstd.$((STARTED - 1)).log")
expect_hello 0 rw gamma "takeover=$EPOCH"
epoch=$EPOCH
"$TOOLS/rawclient" "$reader_port" --hello rw delta >/dev/null
DSTD_PID=$reader
stop_dstd
DSTD_PID=$main
crash
begin
expect_hello 0 rw gamma "epoch=$epoch"
[ "$INSTANCE" != "$instance" ] || fail "a reader said that all is well"
expect_hello 0 rw beta "takeover=$epoch"
epoch=$EPOCH

# Without its state it fences everyone.
expect_hello 0 rw beta "epoch=$epoch"
stop_dstd
rm "$STATE_DIRECTORY/state"
begin
expect_hello $STALE rw beta "epoch=$epoch"
expect_hello 0 rw beta
epoch=$EPOCH
stop_dstd

# A disk that can't flush at the end: what was answered may be lost.
LD_PRELOAD=$TOOLS/failing_sync_preload.so begin
expect_hello 0 rw beta "epoch=$epoch"
instance=$INSTANCE
touch failing
stop_dstd_with 1
rm failing
expect_match 'export rw: the flush before it is closed failed' cat "$DSTD_LOG"
begin
expect_hello 0 rw beta "epoch=$epoch"
[ "$INSTANCE" != "$instance" ] || fail "nobody is told of the failed flush"
stop_dstd

# A claim that hangs when its export is taken away, and when the server stops.
stalled_claim() { # sets JOB
	rm -f stall/in-flush
	touch stall/flush
	background "$TOOLS/rawclient" "$PORT" --hello rw gamma "takeover=$epoch" >claim.told
	wait_until 5 test -e stall/in-flush || fail "there is no claim"
}
LD_PRELOAD=$TOOLS/stalling_preload.so begin --stop-timeout 2s
expect_hello 0 rw beta "epoch=$epoch"
stalled_claim
config
kill -HUP "$DSTD_PID"
wait_until 5 gone "$JOB" || fail "the claimer was not sent away"
rm stall/flush
config "${rw[@]}"
kill -HUP "$DSTD_PID"
wait_until 10 granted rw beta "epoch=$epoch" || fail "beta is fenced by nobody: $REASON"
instance=$INSTANCE

stalled_claim
kill -TERM "$DSTD_PID"
wait_until 10 gone "$DSTD_PID" || fail "a hung flush keeps dstd from ending"
expect_status 1 wait "$DSTD_PID"
expect_match 'stopped without having flushed all' cat "$DSTD_LOG"
begin
expect_hello 0 rw beta "epoch=$epoch"
[ "$INSTANCE" != "$instance" ] || fail "it was not flushed, and nobody is told"
stop_dstd
