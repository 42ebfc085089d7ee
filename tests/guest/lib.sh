# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the guest tests: `. /tests/guest/lib.sh`.

set -u

# On the debug kernel every program that a test starts takes a tenth of a second, so
# what tests do often is done by the shell itself, with two pipes that it holds: what
# is never written to is good to wait on, and who has the only line of the other may
# ask the host.
mkfifo /tmp/silence.$$ /tmp/turn.$$
exec 7<>/tmp/silence.$$ 8<>/tmp/turn.$$
echo >&8

# Wait for so many seconds, or parts of them.
pause() {
    read -r -t "$1" -u 7 || true
}

# End the test as failed, or as not possible here.
die() {
    echo "$*"
    exit 1
}

skip() {
    echo "$*"
    exit 4
}

# Two things must be equal, else the test has failed: with both in the message.
expect() { # WHAT EXPECTED SEEN
    [[ $2 == "$3" ]] || die "$1: expected '$2', saw '$3'"
}

# The same with a glob pattern.
expect_like() { # WHAT PATTERN SEEN
    # shellcheck disable=SC2053 # a pattern on purpose
    [[ $3 == $2 ]] || die "$1: expected something like '$2', saw '$3'"
}

# A command must fail; what it prints is in $failed_with.
expect_failure() { # COMMAND...
    if failed_with=$("$@" 2>&1); then
        die "this should have failed: $* ($failed_with)"
    fi
}

# Ask something of the host and print its answer; the status says whether it
# worked.  Requests:
#   host qmp '{"execute":"device_del","arguments":{"id":"nv0"}}'
#   host trace-on PATTERN, host trace-off PATTERN   QEMU's trace events; off, when the
#                                                   test has ended
#   host trace-count PATTERN                        hits since the test began
#   host trace-log PATTERN                          the lines of these hits
#   host sleep SECONDS                              of the host's clock
#   host keep NAME TEXT, host kept NAME             for after a kill
#   host again                                      kill QEMU at once, boot another
#                    one with the same disks, and run this test again from the start
#   host hostile REQUEST                            tests/hostile/server.py has them
host() {
    local status text
    read -r -u 8
    # Straight to the port: the test's own output may go elsewhere.
    echo "@host $*" >/dev/hvc0
    read -r status text </dev/hvc0
    echo >&8
    printf '%b\n' "$text"
    return "$status"
}

# One QMP command that must work.
qmp() { # COMMAND [ARGUMENTS-AS-JSON]
    local answer
    answer=$(host qmp "{\"execute\":\"$1\",\"arguments\":${2:-{\}}}") || die "QMP $*: $answer"
    echo "$answer"
}

# Load and unload the driver.
load() {
    insmod /rnvme.ko "$@" || die "insmod rnvme.ko $* failed"
}

unload() {
    rmmod rnvme || die "rmmod rnvme failed"
}

# Wait until a command is true, at most so many seconds.
wait_for() { # SECONDS COMMAND...
    local until=$((SECONDS + $1 + 1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || die "not within the time: $*"
        pause 0.1
    done
}

# Wait until a command is false, at most so many seconds.
wait_gone() { # SECONDS COMMAND...
    local until=$((SECONDS + $1 + 1))
    shift
    while "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || die "still so after the time: $*"
        pause 0.1
    done
}

# Load the driver and wait for the first disk.
# shellcheck disable=SC2120 # parameters are optional
load_disk() { # PARAMETER...
    load "$@"
    wait_for 20 test -b /dev/rnvme0n1
}

# The kernel log from the last `mark` on.
mark() {
    klog_mark="rnvme-test: mark $$.$RANDOM$RANDOM"
    echo "$klog_mark" >/dev/kmsg
}

klog() {
    dmesg | sed "1,/$klog_mark/d"
}

# How many lines of the kernel log from the last `mark` on have this text.
klog_count() { # TEXT
    klog | grep -c -F -e "$1" || true
}

# The log must have this text, since the last `mark`.
expect_klog() { # TEXT
    (($(klog_count "$1"))) || die "the kernel log lacks '$1'; it has: $(klog)"
}

# The PCI address of a controller ("rnvme0") or a disk ("rnvme0n1").
pci_of() { # NAME
    local path
    path=$(readlink -f "/sys/class/rnvme/${1%n[0-9]*}/device") || die "there is no $1"
    echo "${path##*/}"
}

# The first disk of the controller at a PCI address, if there is one.
disk_at() { # BDF
    local path
    for path in "/sys/bus/pci/devices/$1"/rnvme/rnvme*/rnvme*n1; do
        [[ -e $path/dev ]] || return 1
        echo "${path##*/}"
    done
}

# fio on a disk, everything that it writes read back and compared with its
# crc32c.  The seed is in each block and another one each time, so what an
# earlier run left behind is not taken for what should be there.
verify() { # DISK FIO-OPTION...
    local disk=$1 log=/tmp/verify.$BASHPID said
    shift
    if ! fio --name=verify --filename="/dev/$disk" --direct=1 --ioengine=io_uring \
        --rw=randwrite --verify=crc32c --verify_fatal=1 --randseed=$((RANDOM << 15 | RANDOM)) \
        --group_reporting "$@" >"$log" 2>&1; then
        cat "$log"
        die "fio failed: $disk $*"
    fi
    # A fio that did nothing succeeds, too.
    said=$(<"$log")
    [[ $said == *" read: IOPS"* && $said == *" write: IOPS"* ]] ||
        die "fio did not write and read: $disk $*: $said"
}

# What was written is read back in every mode of the data path: PRPs and SGLs,
# interrupts and polling, 512 bytes to 1 MiB, one command and 32 at a time.
verify_modes() { # DISK...
    local bs poll threshold disk jobs options
    for threshold in 0 1; do
        load poll_queues=1 sgl_threshold=$threshold
        wait_for 20 test -b "/dev/${*: -1}"
        for disk; do
            echo 1024 >"/sys/block/$disk/queue/max_sectors_kb" ||
                die "$disk has no transfers of 1 MiB"
            for poll in 0 1; do
                jobs=()
                for bs in 512 4k 128k 1m; do
                    options=("--bs=$bs" --stonewall)
                    jobs+=(--name="$bs-1" "${options[@]}" --iodepth=1 --number_ios=8
                        --name="$bs-32" "${options[@]}" --iodepth=32 --number_ios=40)
                done
                fio --filename="/dev/$disk" --direct=1 --ioengine=io_uring --hipri=$poll \
                    --rw=randwrite --size=40m --iomem_align=4096 --verify=crc32c --do_verify=1 \
                    --verify_fatal=1 --randseed=$RANDOM "${jobs[@]}" >/tmp/fio.log 2>&1 ||
                    die "$disk threshold $threshold poll $poll: $(cat /tmp/fio.log)"
                expect "jobs that wrote and read" 16 "$(grep -c -E '^ *(read|write): IOPS' /tmp/fio.log)"
            done
        done
        unload
    done
}

# 1 MiB of noise, written to and later expected at a place of a disk.
put_noise() { # DISK MEBIBYTE
    [[ -e /tmp/noise ]] || dd if=/dev/urandom of=/tmp/noise bs=1M count=1 status=none
    dd if=/tmp/noise of="/dev/$1" bs=64k seek=$(($2 * 16)) oflag=direct conv=notrunc status=none ||
        die "cannot write to $1"
}

expect_noise() { # DISK MEBIBYTE
    dd if="/dev/$1" bs=64k skip=$(($2 * 16)) count=16 iflag=direct status=none | cmp - /tmp/noise ||
        die "$1 has other data at $2 MiB than was written"
}

# Copy programs and libraries to a mounted file system, and remember their sums.
copy_files() { # FOLDER
    local files
    mapfile -t files < <(find /usr/bin /usr/lib -maxdepth 1 -type f -size -3000k)
    ((${#files[@]} > 20)) || die "too few files to copy: ${#files[@]}"
    cp "${files[@]}" "$1/" || die "cannot copy to $1"
    (cd "$1" && find . -type f -exec sha256sum {} +) >/tmp/sums
}

# The files that are there now must be the same.
expect_files() { # FOLDER
    local wrong
    wrong=$(cd "$1" && sha256sum -c /tmp/sums 2>&1 | grep -v ': OK$')
    [[ -z $wrong ]] || die "files have changed: $wrong"
}

# Whether commands are in flight.
disk_busy() { # DISK
    [[ $(<"/sys/block/$1/inflight") != *" 0"*" 0" ]]
}

# fio in the background that works until something ends it, on the first 64 MiB
# of a disk; returns when it is at work.
start_fio() { # DISK FIO-OPTION...
    local disk=$1
    shift
    fio --name=background --filename="/dev/$disk" --direct=1 --ioengine=io_uring --rw=randrw \
        --bs=4k --iodepth=16 --size=64m --time_based --runtime=600 "$@" >/tmp/background 2>&1 &
    fio_job=$!
    wait_for 30 disk_busy "$disk"
}

# The fio in the background must end by itself, with an error.
expect_fio_fails() { # SECONDS
    wait_gone "$1" kill -0 "$fio_job"
    if wait "$fio_job"; then
        cat /tmp/background
        die "fio had no error although its disk was gone"
    fi
    # A disk that is gone has no size any more: no space there.
    grep -q -E 'error=(Input/output error|No such device|No space left)' /tmp/background || {
        cat /tmp/background
        die "fio failed, but not for the disk"
    }
}

# The command that the first doorbell after so many in the trace told of, from
# the ring in the guest's memory: its 16 dwords.  Both events must have been
# traced: pci_nvme_create_sq while the driver was loaded.
command_after() { # NUMBER-OF-DOORBELLS-BEFORE
    local line sq tail addr size
    line=$(host trace-log pci_nvme_mmio_doorbell_sq | sed -n "$(($1 + 1))p")
    [[ $line =~ sqid\ ([0-9]+)\ new_tail\ ([0-9]+) ]] || die "no doorbell: $line"
    sq=${BASH_REMATCH[1]} tail=${BASH_REMATCH[2]}
    line=$(host trace-log pci_nvme_create_sq | grep "sqid=$sq,")
    [[ $line =~ addr=(0x[0-9a-f]+).*qsize=([0-9]+) ]] || die "no such queue: $line"
    addr=${BASH_REMATCH[1]} size=$((BASH_REMATCH[2] + 1))
    addr=$(printf '0x%x' $((addr + (tail + size - 1) % size * 64)))
    qmp human-monitor-command "{\"command-line\":\"xp /16wx $addr\"}" | tr -d '"\r\n' |
        sed 's/\\[rn]/ /g; s/[0-9a-f]*://g'
}

# Ask the hostile controller something that must work: see tests/hostile.
hostile() { # REQUEST
    local answer
    answer=$(host hostile "$*") || die "hostile: $answer"
    [[ -z $answer ]] || echo "$answer"
}

# Load the driver without binding, so that a controller can be prepared first.
load_unbound() { # PARAMETER...
    local path
    load "$@"
    for path in /sys/bus/pci/drivers/rnvme/0000:*; do
        bdf=${path##*/}
    done
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "it cannot be unbound"
}

# Bind $bdf, which must be decided within so many seconds; whether it worked.
try_bind() { # SECONDS WHAT
    local start=$SECONDS status=0
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind 2>/dev/null || status=1
    ((SECONDS - start <= $1)) || die "$2: bind took $((SECONDS - start)) s"
    return $status
}

# Unbind $bdf, within so many seconds; nothing of it may stay.
try_unbind() { # SECONDS WHAT
    local start=$SECONDS
    [[ ! -e /sys/bus/pci/devices/$bdf/driver ]] ||
        echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "$2: it cannot be unbound"
    ((SECONDS - start <= $1)) || die "$2: unbind took $((SECONDS - start)) s"
    [[ ! -e /sys/class/rnvme/rnvme0 ]] || die "$2: rnvme0 stays"
}

# fio on a disk that may fail, but not have wrong data; its verdict is in
# $fio_status, and it ends within so many seconds.
fio_may_fail() { # SECONDS DISK FIO-OPTION...
    local limit=$1 disk=$2
    shift 2
    fio_status=0
    timeout -k 1 "$limit" fio --name=hostile --filename="/dev/$disk" --direct=1 \
        --ioengine=io_uring --rw=randwrite --bs=4k --iodepth=16 --size=256k --verify=crc32c \
        --verify_fatal=1 --allow_file_create=0 --randseed=$RANDOM "$@" >/tmp/hostile.fio 2>&1 || fio_status=$?
    ((fio_status != 124 && fio_status != 137)) || die "fio does not end: $(hostile state)"
    if grep -q -E 'verify: bad|verify failed|multibyte' /tmp/hostile.fio; then
        die "wrong data: $(cat /tmp/hostile.fio)"
    fi
}

# Whether the disk is there, which it is soon after bind or never.
wait_disk() {
    [[ -e /sys/class/rnvme/rnvme0/rnvme0n1 ]] || return 1
    wait_for 2 test -b /dev/rnvme0n1
}

# A read of the disk ends within so many seconds; whether it worked.
may_read() { # SECONDS
    local status=0
    timeout -k 1 "$1" dd if=/dev/rnvme0n1 of=/dev/null bs=64k count=1 iflag=direct \
        status=none 2>/dev/null || status=$?
    ((status != 124 && status != 137)) || die "a read does not end: $(hostile state)"
    return $status
}

# Bind after each line of a table "OUTCOME|REQUEST; REQUEST ...": "disk" is a
# disk that can be read, "none" that there is none, "any" either; always within
# so many seconds, and unbound in as many. "stock OUTCOME" is for that kernel only.
bind_table() { # SECONDS
    local outcome requests what
    while IFS='|' read -r outcome requests; do
        # On the debug kernel each bind takes 2 s.
        if [[ $outcome == "stock "* && -e /sys/kernel/debug/kmemleak ]]; then
            continue
        fi
        outcome=${outcome#stock }
        hostile "new; back; $requests"
        what=none
        if try_bind "$1" "$requests"; then
            # No disk is an answer, too; one that comes is there at once.
            wait_disk && what=disk
        fi
        echo "$requests: $what"
        if [[ $what == disk ]]; then
            may_read "$1" || what="a disk that cannot be read"
        fi
        [[ $outcome == any || $outcome == "$what" ]] || die "$requests: expected $outcome, saw $what"
        try_unbind "$1" "$requests"
    done
    hostile "new; back"
}

# The driver is taken from a controller while fio works on its disk: fio must end
# with errors.
unbind_under_fio() { # BDF DISK
    start_fio "$2"
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind || die "$1 cannot be unbound"
    expect_fio_fails 15
}

# It gets the driver again, and the disk is back.
bind_again() { # BDF DISK
    echo "$1" >/sys/bus/pci/drivers/rnvme/bind || die "$1 cannot be bound"
    wait_for 20 test -b "/dev/$2"
}

# Bind the device anew without MSI-X and MSI, as if it had none: it has the pin's
# interrupt.  Fails, with the device unbound, where the kernel cannot take them.
bind_to_pin() { # BDF DISK
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind
    echo 0 >"/sys/bus/pci/devices/$1/msi_bus" || return 1
    bind_again "$1" "$2"
}

# Unbind it, and give it its messages back.
unbind_from_pin() { # BDF
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind
    echo 1 >"/sys/bus/pci/devices/$1/msi_bus"
}

# Allocations may fail from now on, as /proc/self/fail-nth or the knobs say: only
# what has the module on its stack, and not within ACPI's interpreter, which enabling
# a PCI device runs: that uses freed objects when it is out of memory.
fail_ours() {
    local acpi text size kind knobs
    acpi=$(awk '$3 ~ /^acpi_(ds|ex|ns|ps|rs|ut)_/ && $2 ~ /[tT]/ { print $1 }' /proc/kallsyms | sort)
    text=$(($(cat /sys/module/rnvme/sections/.text)))
    size=$(awk '/^rnvme / { print $2 }' /proc/modules)
    for kind in failslab fail_page_alloc; do
        knobs=/sys/kernel/debug/$kind
        [[ -d $knobs ]] || skip "this kernel cannot make allocations fail"
        printf '0x%x' "$text" >$knobs/require-start
        printf '0x%x' $((text + size)) >$knobs/require-end
        echo "0x${acpi%%$'\n'*}" >$knobs/reject-start
        echo "0x${acpi##*$'\n'}" >$knobs/reject-end
        echo N >$knobs/ignore-gfp-wait
        echo 0 >$knobs/verbose
    done
    echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
    echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
}

# None fails any more.
fail_none() {
    local kind
    for kind in failslab fail_page_alloc; do
        echo 0 >/sys/kernel/debug/$kind/probability
        echo Y >/sys/kernel/debug/$kind/ignore-gfp-wait
        echo 0 >/sys/kernel/debug/$kind/require-end
    done
}
