#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A virtual machine boots a packaged kernel, writes to its virtio disk, the image, and reads it back.
# timeout: 180
# plain: qemu does the same under both
. "$SRC/test/lib.sh"

need_tool qemu-system-x86_64 cpio
need_fuse
read -r kernel modules < <("$SRC/scripts/guest-kernel") || skip "no packaged kernel with modules"
[ -n "${modules:-}" ] || skip "no packaged kernel with modules"
busybox=$(command -v busybox) || skip "needs busybox-static"

# The initial RAM disk: busybox, the modules of a virtio disk in the order of their needs, a script.
mkdir -p root/{bin,dev,proc,sys,modules}
cp "$busybox" root/bin/busybox
: >root/modules/order
add_module() { # PATH below $modules, after what it needs
	local needs need name=${1##*/}
	name=${name%%.*}.ko
	read -ra needs < <(sed -n "s|^$1:||p" "$modules/modules.dep")
	for need in "${needs[@]}"; do
		add_module "$need"
	done
	[ ! -e "root/modules/$name" ] || return 0
	case $1 in
	*.xz) xz -dc "$modules/$1" >"root/modules/$name" ;;
	*.zst) zstd -qdc "$modules/$1" >"root/modules/$name" ;;
	*) cp "$modules/$1" "root/modules/$name" ;;
	esac
	echo "$name" >>root/modules/order
}
for module in virtio_pci virtio_blk; do
	path=$(sed -n "s|^\([^:]*/$module\.ko[^:]*\):.*|\1|p" "$modules/modules.dep")
	[ -z "$path" ] || add_module "$path"
done
cat >root/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/modules/$module"
done </modules/order
while [ ! -b /dev/vda ]; do
	sleep 0.1
done
dd if=/dev/vda of=/first bs=1M count=1 && echo "GUEST READ $(md5sum </first)"
dd if=/bin/busybox of=/dev/vda bs=64k seek=32 conv=fsync && sync
echo 3 >/proc/sys/vm/drop_caches
size=$(stat -c %s /bin/busybox)
dd if=/dev/vda bs=64k skip=32 | head -c "$size" | cmp - /bin/busybox && echo "GUEST WROTE"
poweroff -f
INIT
chmod +x root/init
(cd root && find . | cpio -o -H newc --quiet) >initrd

serve 64M
dd if=/dev/urandom of="$VOL" bs=1M count=1 conv=notrunc,fsync status=none
sum=$(head -c 1M "$IMG" | md5sum)
within 150 qemu-system-x86_64 -accel tcg -m 256 -nographic -no-reboot -nodefaults -serial stdio \
	-kernel "$kernel" -initrd initrd -append 'console=ttyS0 quiet panic=-1' \
	-drive "file=$VOL,format=raw,if=virtio,cache=none,discard=unmap" </dev/null | tee console
expect_match "GUEST READ ${sum%% *}" cat console
expect_match 'GUEST WROTE' cat console
stop_dstfs
cmp -n "$(stat -c %s "$busybox")" -i 2097152:0 "$IMG" "$busybox"
