# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The driver does not pass write lifetime hints (F_SET_RW_HINT) to the device: the disk
# offers no write streams, and a write with a hint, to the disk or to a file, has the
# same command as one without.
#@ timeout: 60
. /tests/guest/lib.sh
host trace-on pci_nvme_create_sq
load_disk
expect "write streams" 0 "$(cat /sys/block/rnvme0n1/queue/max_write_streams)"
expect "their granularity" 0 "$(cat /sys/block/rnvme0n1/queue/write_stream_granularity)"
hints=(none short medium long extreme)
! is_debug || hints=(long)
for hint in "${hints[@]}"; do
    verify rnvme0n1 --write_hint="$hint" --bsrange=512-128k --blockalign=512 --size=1m --iodepth=8
done
host trace-on pci_nvme_mmio_doorbell_sq
fio --name=one --filename=/dev/rnvme0n1 --allow_file_create=0 --rw=write --bs=4k --size=4k --offset=9m --direct=1 \
    --ioengine=psync --write_hint=extreme >/tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
read -ra command < <(command_after $(($(host trace-count pci_nvme_mmio_doorbell_sq) - 1)))
expect "opcode of a write" 1 $((command[0] & 0xff))
expect "LBA of the write" $((9 << 11)) $((command[10]))
expect "CDW12: no directive" 7 $((command[12]))
expect "CDW13: no placement, no frequency" 0 $((command[13]))
host trace-off pci_nvme_mmio_doorbell_sq
mke2fs -q -t ext4 -F /dev/rnvme0n1 || die "mke2fs failed"
mkdir -p /mnt
mount -t ext4 /dev/rnvme0n1 /mnt || die "mount failed"
fio --name=file --filename=/mnt/file --rw=randwrite --bs=4k --size=4m --direct=1 --ioengine=psync \
    --write_hint=short --verify=crc32c --verify_fatal=1 >/tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
umount /mnt
unload
