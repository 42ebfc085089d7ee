# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The machine sleeps and wakes up in each way that Linux knows: as far as each step of its own
# test goes (pm_test), and really, to idle (ended by the power button) and to memory (ACPI S3).
# Four writers never stop: direct I/O, most of which waits in a scheduler; polled I/O; buffered
# I/O to a mounted file system; and fsync. No I/O fails, all data is right, and no sleep is long.
#@ machine: sleep
#@ timeout: 120
#@ allow-log: WARNING: .*rtc
. /tests/guest/lib/recovery.sh
[[ -e /sys/power/pm_test ]] || skip "this kernel cannot test sleep"
modprobe -q button || true
modprobe -q ext4 || true
# A depth of 4: with 16 in flight most requests wait in the scheduler.
io_timeout=30 io_queue_depth=4
start_driver poll_queues=1
echo mq-deadline >/sys/block/$disk/queue/scheduler || die "no mq-deadline"
echo "size=150M" | sfdisk -q /dev/$disk || die "sfdisk failed"
wait_for 10 test -b /dev/${disk}p1
mke2fs -q -t ext4 /dev/${disk}p1 || die "mke2fs failed"
mount -t ext4 /dev/${disk}p1 /mnt || die "mount failed"
copy_files /mnt
put_noise $disk 900

# Slower on the debug kernel, and polled I/O, which keeps a CPU busy, is rare.
polled=500
! is_debug || polled=2
matrix=("freeze freezer devices platform none" "mem freezer devices platform processors core none")
rounds=$(soak_rounds sleeps 0)
# The debug kernel has each level once and both real sleeps; all with `make soak`.
if ((rounds == 0)); then
    rounds=1
    ! is_debug || matrix=("freeze freezer platform none" "mem devices processors core none")
fi
# Until the test ends them: a round takes two minutes and more on the debug kernel.
start_writers /dev/$disk 200 $polled $((600 * rounds))
slow_disk $disk

# SeaBIOS does not give the chipset back where its ACPI registers are (PMBASE, ACPI_CNTL): after a
# real S3 the guest could not power itself off.
lpc=00:1f.0
acpi_registers=$(setpci -s $lpc 40.l 44.b | paste -sd' ')
restore_acpi_registers() {
    local base enable
    read -r base enable <<<"$acpi_registers"
    setpci -s $lpc "40.l=$base" "44.b=$enable"
}

# The seconds since the mark that are none of the driver's: in which the kernel synced buffered writes,
# and started its second CPU. In QEMU that takes long, and fails once in a while.
seconds_of_others() {
    klog | awk '
        /Filesystems sync: / { sync = $(NF - 1) }
        { time = $0; sub(/^\[ */, "", time); time += 0 }
        /Enabling non-boot CPUs/ { start = time }
        /Waking up from system sleep state/ && start { cpus = time - start }
        END { print sync + cpus }'
}

# Sleep once; the kernel's own test waits for no second before it wakes up.
sleep_once() { # STATE LEVEL
    local start=$EPOCHREALTIME took
    echo "$2" >/sys/power/pm_test || die "the kernel refuses pm_test $2"
    [[ $2 != none ]] || host wake "$([[ $1 == mem ]] && echo s3 || echo s2idle)" >/dev/null
    mark
    echo "$1" >/sys/power/state || die "$1, $2: expected the machine to sleep: $(klog)"
    took=$(seconds_since "$start")
    [[ $2 != none ]] || host wake >/dev/null
    [[ $1$2 != memnone ]] || restore_acpi_registers
    echo 1 >/sys/devices/system/cpu/cpu1/online || die "the second CPU does not come back"
    writers_go_on "$1, $2"
    expect "$1, $2: state" live "$(ctrl_state)"
    took=$(awk -v all="$took" -v other="$(seconds_of_others)" 'BEGIN { printf "%.1f", all - other }')
    row "$1 ($2)" "no error" "$took" nothing
    within "$took" $longest || must die "$1, $2: expected to sleep and wake within $longest s, it took $took s: $(klog)"
}

echo 0 >/sys/module/suspend/parameters/pm_test_delay
longest=5
! is_debug || longest=12
# First all sleeps to idle: after S3 the button that ends them is not enabled any more.
for how in "${matrix[@]}"; do
    read -r -a levels <<<"$how"
    for ((round = 1; round <= rounds; round++)); do
        for level in "${levels[@]:1}"; do
            sleep_once "${levels[0]}" "$level"
        done
    done
done
echo none >/sys/power/pm_test
fast_disk $disk
end_writers
expect_files /mnt
umount /mnt
e2fsck -f -n /dev/${disk}p1 >/tmp/fsck 2>&1 || die "e2fsck: $(cat /tmp/fsck)"
expect_noise $disk 900
stop_driver
