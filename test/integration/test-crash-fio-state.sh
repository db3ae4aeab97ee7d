#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fio's saved verify state: what it saw acknowledged before dstd and dstfs were killed is there afterwards.
# timeout: 400
. "$SRC/test/lib.sh"

need_fuse
need_tool fio
truncate -s 32M img
cat >job.fio <<'END'
[job]
filename=${VOL}
size=32m
rw=randwrite
bs=4k
direct=1
ioengine=libaio
iodepth=16
verify=crc32c
verify_fatal=1
allow_file_create=0
randseed=${SEED}
END
for SEED in $(seq "$(long_or 3 30)"); do
	export SEED
	start_dstd --export "vol0=$T/img,lease=1s"
	start_dstfs "dst://127.0.0.1:$PORT/vol0" -o workers=$((SEED % 2 * 2 + 1)),resends=forever
	export VOL=$MNT/vol0
	wait_online "$VOL"
	printf '#!/bin/bash\nkill -KILL %s %s\n' "$DSTFS_PID" "$DSTD_PID" >trigger
	chmod +x trigger
	fio job.fio --do_verify=0 --verify_state_save=1 --rate_iops=8000 \
		--trigger-timeout=1 --trigger="$T/trigger" >fio.out 2>&1 || true
	wait_until 5 gone "$DSTFS_PID" || fail "fio triggered nothing: $(cat fio.out)"
	umount -l "$MNT"
	ls ./*verify.state >/dev/null || fail "fio saved no state: $(cat fio.out)"

	start_dstd --export "vol0=$T/img,lease=1s"
	start_dstfs "dst://127.0.0.1:$PORT/vol0"
	wait_online "$VOL"
	fio job.fio --verify_only --verify_state_load=1 >fio.out 2>&1 || fail "fio: $(cat fio.out)"
	! grep -q 'verify: bad' fio.out || fail "fio: $(cat fio.out)"
	stop_dstfs
	stop_dstd
	rm -f ./*verify.state
done
