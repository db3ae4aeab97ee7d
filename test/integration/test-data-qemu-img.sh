#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# qemu-img converts to and from the volume and compares, holes included.
. "$SRC/test/lib.sh"

need_tool qemu-img
serve 64M
head -c 10M /dev/urandom >source
truncate -s 32M source
head -c 5M /dev/urandom >>source
truncate -s 64M source
qemu-img convert -n -f raw -O raw -t none -T none source "$VOL"
qemu-img compare -f raw -F raw source "$VOL"
qemu-img convert -f raw -O qcow2 "$VOL" copy.qcow2
qemu-img compare -f qcow2 -F raw copy.qcow2 "$VOL"
qemu-img map -f raw --output=json "$VOL" >map.json
expect_match '"data": false' cat map.json
expect_match '"data": true' cat map.json
stop_dstfs
qemu-img compare -f raw -F raw source "$IMG"
