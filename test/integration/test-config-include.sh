#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Included files, repeated keys and long lines work in a real run.
. "$SRC/test/lib.sh"

need_fuse
truncate -s 1M one two
mkdir d
printf 'include = d/*.conf\n[server]\nlisten = 127.0.0.1:0\n' >dstd.conf
for name in one two; do
	{
		printf '[export %s]\npath = %s\n' $name "$T/$name"
		for i in {1..20}; do
			echo "deny = 192.0.2.$i"
		done
		printf '# %4000s\nallow = 127.0.0.0/8 rw\n' comment
	} >d/$name.conf
done
start_dstd -c "$T/dstd.conf"
for name in one two; do
	MNT=$T/$name.mnt
	start_dstfs "dst://127.0.0.1:$PORT/$name"
	wait_online "$MNT/$name"
	stop_dstfs
done
