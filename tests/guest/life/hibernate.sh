# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The machine hibernates with the image on this very drive, and the next boot resumes it: the boot
# kernel drove the controller before. A file system stays mounted, the writers of life/sleep go on
# (direct, queued in a scheduler, polled, buffered, synced), and all data is right.
#@ machine: sleep
#@ timeout: 60
#@ kernels: stock
#@ allow-log: WARNING: .*rtc
. /tests/guest/lib/recovery.sh
[[ $(</sys/power/state) == *disk* ]] || skip "this kernel cannot hibernate"
io_timeout=30 io_queue_depth=4
start_driver poll_queues=1
echo mq-deadline >/sys/block/$disk/queue/scheduler || die "no mq-deadline"
sfdisk -q /dev/$disk <<'END' || die "sfdisk failed"
label: gpt
size=450M, type=swap
size=150M
size=300M
END
wait_for 10 test -b /dev/${disk}p3
mkswap /dev/${disk}p1 >/dev/null || die "mkswap failed"
swapon /dev/${disk}p1 || die "swapon failed"
modprobe -q ext4 || true
mke2fs -q -t ext4 /dev/${disk}p2 || die "mke2fs failed"
mount -t ext4 /dev/${disk}p2 /mnt || die "mount failed"
copy_files /mnt
rounds=$(soak_rounds hibernations 1)
start_writers /dev/${disk}p3 0 200 $((600 * rounds))
# Not through the platform: QEMU's S4 is a shutdown, too.
echo shutdown >/sys/power/disk
# A third of the memory: to free all but the least makes the kernel run out of it.
echo $((150 << 20)) >/sys/power/image_size
for ((round = 1; round <= rounds; round++)); do
    mark
    # No answer comes to this request.
    echo "@host hibernate" >/dev/hvc0
    start=$EPOCHREALTIME
    echo disk >/sys/power/state || die "the machine does not hibernate: $(klog)"
    klog | grep -q "hibernation exit" || die "expected a resumed image: $(klog)"
    writers_go_on "hibernation"
    row "hibernation" "no error" "$(seconds_since "$start")" nothing
done
end_writers
expect_files /mnt
umount /mnt
swapoff /dev/${disk}p1
e2fsck -f -n /dev/${disk}p2 >/tmp/fsck 2>&1 || die "e2fsck: $(cat /tmp/fsck)"
stop_driver
