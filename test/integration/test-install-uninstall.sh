#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make install puts programs, manuals and completion in place, uninstall removes just these.
# plain: it installs what was built
. "$SRC/test/lib.sh"

cd "$SRC"
for prefix in /usr/local /usr; do
	make -s -o all install DESTDIR="$T/root" PREFIX=$prefix
	for file in bin/dstfs bin/dstctl sbin/dstd share/man/man1/dstfs.1 share/man/man8/dstd.8 \
		share/man/man5/dstfs.conf.5 share/doc/dstfs/dstfs.conf.example \
		share/bash-completion/completions/{dstfs,dstd,dstctl} \
		lib/systemd/system/{dstd,dstfs@}.service; do
		[ -f "$T/root$prefix/$file" ] || fail "$file is not installed"
	done
	expect_match '^dstfs [0-9]' "$T/root$prefix/bin/dstfs" --version
	touch "$T/root$prefix/bin/other"
	make -s uninstall DESTDIR="$T/root" PREFIX=$prefix
	expect "$T/root$prefix/bin/other" find "$T/root$prefix" -type f
	rm -r "$T/root"
done
