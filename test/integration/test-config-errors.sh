#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A bad configuration or option: exit status 2 before anything starts, one line with file:line or the option.
. "$SRC/test/lib.sh"

truncate -s 1M img
mkdir mnt

# try PROGRAM PATTERN: the configuration comes from standard input
try() {
	local program=$1 pattern=$2 status=0
	cat >conf
	if [ "$program" = dstd ]; then
		within 10 "$DSTD" --foreground -c "$T/conf" >out 2>&1 || status=$?
	else
		within 10 "$DSTFS" --foreground "$T/conf" "$T/mnt" >out 2>&1 || status=$?
	fi
	[ $status -eq 2 ] || fail "status $status, not 2, for: $(cat conf)"
	expect 1 eval "wc -l <out"
	grep -qE "$pattern" out || fail "no \"$pattern\" in: $(cat out)"
}

for program in dstd dstfs; do
	try $program 'conf:2: .*sever' <<<$'\n[sever]\nlisten = x'
	try $program 'conf:3: .*nodes' <<<$'[volume v]\nnode = file:///x\nnodes = y'
	try $program 'conf:4: .*lisen' <<<$'# comment\n\n[server]\nlisen = 127.0.0.1'
	try $program 'conf:3: .*workers|conf:3: .*many' <<<$'\n[server]\nworkers = many'
	try $program 'conf:3:' <<<$'[export e]\npath = /x\n[export e]\npath = /y'
	try $program 'conf:2:' <<<$'[volume v]\nno equals sign'
	try $program 'conf:1:' <<<'node = file:///before/any/section'
	try $program 'conf:1:' <<<'include = /there/is/no/such/file'
	try $program 'conf:2: .*cache|conf:3: .*cache' <<<$'[volume v]\nnode = file:///x\ncache = maybe'
	try $program 'conf:2:' <<<$'[volume v]\nnode = gopher://x/y'
done
try dstd 'conf:3: ' <<<$'[export e]\npath = '"$T/img"$'\nallow = 300.0.0.1 rw'
try dstd 'rules' <<<$'[export e]\npath = '"$T/img"$'\nallow = @'"$T/rules"
printf 'allow 127.0.0.1 rw\nallow nonsense\n' >rules
try dstd 'rules:2' <<<$'[export e]\npath = '"$T/img"$'\nallow = @'"$T/rules"
try dstd 'path' <<<'[export e]'
try dstfs 'volume' <<<'[export e]'

expect_status 2 within 10 "$DSTFS" --no-such-option 2>/dev/null
expect_status 2 within 10 "$DSTFS" "file://$T/img" "$T/mnt" -o cache=maybe 2>/dev/null
expect_status 2 within 10 "$DSTFS" "file://$T/img" "$T/mnt" -o no_such_option=1 2>/dev/null
expect_status 2 within 10 "$DSTFS" "dst://[::1/x" "$T/mnt" 2>/dev/null
expect_status 2 within 10 "$DSTD" --export nothing 2>/dev/null
expect_status 2 within 10 "$DSTD" --listen 127.0.0.1:99999 --export "e=$T/img" 2>/dev/null
