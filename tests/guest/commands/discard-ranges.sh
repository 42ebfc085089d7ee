# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What a file system trims at once reaches the device as the ranges of one Dataset
# Management command, few or many; the files around them keep their data.
#@ timeout: 120
. /tests/guest/lib.sh
load_disk
mkfs.xfs -f -q -K /dev/rnvme0n1 || die "mkfs.xfs failed"
mkdir -p /mnt/disk
mount -t xfs /dev/rnvme0n1 /mnt/disk || die "mount failed"
xfs_io -f -c 'pwrite -q -S 0xa5 0 52m' -c fsync /mnt/disk/file || die "writing the file failed"
# Punch every other piece of 64 KiB and trim; $most is the number of ranges of the
# largest command.
trim() { # FIRST-PIECE LAST-PIECE
    local piece
    for ((piece = $1; piece < $2; piece += 2)); do
        echo "fpunch $((piece * 65536)) 65536"
    done >/tmp/commands
    xfs_io /mnt/disk/file </tmp/commands >/dev/null || die "punching holes failed"
    sync
    sum=$(sha256sum </mnt/disk/file)
    before=$(host trace-count pci_nvme_dsm)
    fstrim /mnt/disk || die "fstrim failed"
    most=$(host trace-log pci_nvme_dsm | tail -n +$((before + 1)) | sed -n 's/.* nr \([0-9]*\).*/\1/p' |
        sort -n | tail -1)
    echo "most ranges: $most"
    echo 3 >/proc/sys/vm/drop_caches
    expect "sum of the file" "$sum" "$(sha256sum </mnt/disk/file)"
}
host trace-on pci_nvme_dsm
trim 0 12
((most > 1 && most <= 16)) || die "expected a command of 2 to 16 ranges, saw '$most': $(host trace-log pci_nvme_dsm)"
trim 12 800
((most > 16)) || die "expected a command of more than 16 ranges, saw '$most': $(host trace-log pci_nvme_dsm)"
host trace-off pci_nvme_dsm
umount /mnt/disk || die "umount failed"
xfs_repair -n /dev/rnvme0n1 >/tmp/repair 2>&1 || die "expected no error of xfs_repair: $(cat /tmp/repair)"
unload
