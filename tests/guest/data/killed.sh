# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# QEMU is killed under writes. Writes that were acknowledged and flushed before are on
# the disk when another QEMU boots with it.
#@ timeout: 60
#@ kernels: stock
. /tests/guest/lib/recovery.sh
if [[ $(host kept run) == "" ]]; then
    start_driver
    put_noise $disk 100
    dd if=/tmp/noise of=/dev/$disk bs=64k seek=1920 oflag=direct conv=notrunc,fsync status=none
    host keep noise "$(sha256sum </tmp/noise)"
    start_noting $disk --sync=dsync
    end_noting
    host keep noted "$(tr '\n' ' ' </tmp/noted)"
    host keep run "$noted_run"
    # Writes to another area go on when QEMU is killed.
    start_fio $disk --offset=128m --rw=randwrite
    # This request ends the guest, so no answer comes.
    echo "@host again" >/dev/hvc0
    sleep 60
    die "expected the host to kill the guest, it still runs"
fi
start_driver
expect "sum of the flushed data" "$(host kept noise)" "$(
    dd if=/dev/$disk bs=64k skip=1920 count=16 iflag=direct status=none | sha256sum)"
host kept noted | tr -s ' ' '\n' | grep . >/tmp/noted
noted_run=$(host kept run)
expect_noted $disk "QEMU was killed"
row "QEMU is killed" "acknowledged writes are there" 0 boot
stop_driver
