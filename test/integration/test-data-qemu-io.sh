#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# qemu-io finds patterns, zeros and discards as it left them, with each of its caches.
. "$SRC/test/lib.sh"

need_tool qemu-io
serve 16M
for cache in none writeback directsync; do
	qemu-io -f raw -t $cache -d unmap "$VOL" >out 2>&1 \
		-c 'write -P 0xa5 0 4M' -c 'read -P 0xa5 0 4M' \
		-c 'write -z 1M 1M' -c 'read -P 0 1M 1M' -c 'read -P 0xa5 2M 2M' \
		-c 'write -z -u 3M 512k' -c 'read -P 0 3M 512k' \
		-c 'discard 2M 512k' -c 'read -P 0xa5 2560k 512k' \
		-c 'aio_write -P 0x33 8M 1M' -c 'aio_write -P 0x44 9M 1M' -c 'aio_flush' \
		-c 'read -P 0x33 8M 1M' -c 'read -P 0x44 9M 1M' \
		-c 'write -f -P 0x77 12M 64k' -c 'read -P 0x77 12M 64k' -c flush ||
		fail "$cache: $(cat out)"
	! grep -qiE 'failed|error' out || fail "$cache: $(cat out)"
done
stop_dstfs
qemu-io -f raw -r -c 'read -P 0x77 12M 64k' -c 'read -P 0 3M 512k' "$IMG" >out 2>&1
! grep -qiE 'failed|error' out || fail "$(cat out)"
