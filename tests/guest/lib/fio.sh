# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# I/O on a disk, and checks of its data.

# Write to a disk with fio, read everything back and compare each block with its crc32c.
# Each block holds the seed, which differs from run to run, so data of an earlier run
# does not pass. The debug kernel has half of 4 MiB and more: what it looks for is in each command.
verify() { # DISK FIO-OPTION...
    local disk=$1 log=/tmp/verify.$BASHPID option said
    shift
    for option; do
        ! is_debug || [[ ! $option =~ ^--size=([0-9]+)m$ ]] || ((BASH_REMATCH[1] < 4)) ||
            set -- "$@" --size=$((BASH_REMATCH[1] / 2))m
    done
    # Blocks of several sizes overlap; the order of two writes in flight is the device's choice.
    [[ $* != *--bsrange=* ]] || set -- "$@" --serialize_overlap=1
    if ! fio --name=verify --filename="/dev/$disk" --allow_file_create=0 --direct=1 --ioengine=io_uring \
        --rw=randwrite --verify=crc32c --verify_fatal=1 --randseed=$((RANDOM << 15 | RANDOM)) \
        --group_reporting "$@" >"$log" 2>&1; then
        cat "$log"
        die "fio failed: $disk $*"
    fi
    # fio succeeds even if it did nothing.
    said=$(<"$log")
    [[ $said == *" read: IOPS"* && $said == *" write: IOPS"* ]] ||
        die "expected fio to write and read: $disk $*: $said"
}

# Write and read back in every mode of the data path: PRPs and SGLs, interrupts and
# polling, 512 bytes to 1 MiB, one command and 32 at a time. The debug kernel has half of the
# combinations: PRPs with interrupts and SGLs with polling (HALF 0), or the others (HALF 1).
verify_modes() { # HALF DISK...
    local half=$1 bs poll threshold disk jobs options
    shift
    for threshold in 0 1; do
        load poll_queues=1 sgl_threshold=$threshold
        wait_for 20 test -b "/dev/${*: -1}"
        for disk; do
            echo 1024 >"/sys/block/$disk/queue/max_sectors_kb" ||
                die "$disk does not accept max_sectors_kb=1024"
            for poll in 0 1; do
                ! is_debug || (((threshold ^ poll) == half)) || continue
                jobs=()
                for bs in 512 4k 128k 1m; do
                    options=("--bs=$bs" --stonewall)
                    jobs+=(--name="$bs-1" "${options[@]}" --iodepth=1 --number_ios=8
                        --name="$bs-32" "${options[@]}" --iodepth=32 --number_ios=40)
                done
                fio --filename="/dev/$disk" --allow_file_create=0 --direct=1 --ioengine=io_uring --hipri=$poll \
                    --rw=randwrite --size=40m --iomem_align=4096 --verify=crc32c --do_verify=1 \
                    --verify_fatal=1 --randseed=$RANDOM "${jobs[@]}" >/tmp/fio.log 2>&1 ||
                    die "$disk threshold $threshold poll $poll: $(cat /tmp/fio.log)"
                expect "jobs that wrote and read" 16 "$(grep -c -E '^ *(read|write): IOPS' /tmp/fio.log)"
            done
        done
        unload
    done
}

# Write 1 MiB of random data to a place of a disk; expect_noise checks it later.
put_noise() { # DISK MEBIBYTE
    [[ -e /tmp/noise ]] || dd if=/dev/urandom of=/tmp/noise bs=1M count=1 status=none
    dd if=/tmp/noise of="/dev/$1" bs=64k seek=$(($2 * 16)) oflag=direct conv=notrunc,nocreat status=none ||
        die "writing to $1 failed"
}

expect_noise() { # DISK MEBIBYTE
    dd if="/dev/$1" bs=64k skip=$(($2 * 16)) count=16 iflag=direct status=none | cmp - /tmp/noise ||
        die "$1: expected the data written at $2 MiB, saw other data"
}

# Copy programs and libraries to a mounted file system, and remember their sums.
copy_files() { # FOLDER
    local files
    mapfile -t files < <(find /usr/bin /usr/lib -maxdepth 1 -type f -size -3000k)
    ((${#files[@]} > 20)) || die "expected more than 20 files to copy, saw ${#files[@]}"
    cp "${files[@]}" "$1/" || die "copying to $1 failed"
    (cd "$1" && find . -type f -exec sha256sum {} +) >/tmp/sums
}

# The files of a folder must have the sums that copy_files remembered.
expect_files() { # FOLDER
    local wrong
    wrong=$(cd "$1" && sha256sum -c /tmp/sums 2>&1 | grep -v ': OK$')
    [[ -z $wrong ]] || die "expected unchanged files, saw: $wrong"
}

# Whether so many writes to a disk have ended since it was made.
has_written() { # DISK NUMBER
    local stat
    read -r -a stat <"/sys/class/block/$1/stat" && ((stat[4] >= $2))
}

# Whether commands are in flight.
disk_busy() { # DISK
    [[ $(<"/sys/class/block/$1/inflight") != *" 0"*" 0" ]]
}

# On the debug kernel, make a disk slow: 16 commands stay in flight, and the CPUs, which I/O at full
# speed keeps busy, are idle. On the stock kernel I/O runs at full speed.
slow_disk() { # DISK
    set_pace "$1" 160 100
}

fast_disk() { # DISK
    set_pace "$1" 0 0
}

# So many I/O commands a second at most on QEMU's drive, that of the machine's controller `nv0`; on
# the hostile controller each takes so many milliseconds. 0 is full speed.
set_pace() { # DISK IOPS MILLISECONDS
    is_debug || return 0
    if [[ $(</sys/class/block/"$1"/device/model) == QEMU* ]]; then
        qmp block_set_io_throttle "{\"id\":\"nv0\",\"bps\":0,\"bps_rd\":0,\"bps_wr\":0,\"iops\":$2,\"iops_rd\":0,\"iops_wr\":0}" >/dev/null
    else
        hostile "slow $3"
    fi
}

# Run fio in the background on the first 64 MiB of a disk until something ends it.
# Returns when commands are in flight.
start_fio() { # DISK FIO-OPTION...
    local disk=$1
    shift
    fio --name=background --filename="/dev/$disk" --allow_file_create=0 --direct=1 --ioengine=io_uring \
        --rw=randrw --bs=4k --iodepth=16 --size=64m --time_based --runtime=600 "$@" >/tmp/background 2>&1 &
    fio_job=$!
    wait_for 30 disk_busy "$disk"
}

# The fio of start_fio must end by itself within so many seconds, with an error.
expect_fio_fails() { # SECONDS
    wait_gone "$1" kill -0 "$fio_job"
    if wait "$fio_job"; then
        cat /tmp/background
        die "expected fio to fail because its disk is gone, saw no error"
    fi
    # A removed disk has no size: fio reports that no space is left.
    grep -q -E 'error=(Input/output error|No such device|No space left)' /tmp/background || {
        cat /tmp/background
        die "expected fio to fail because its disk is gone, saw another error"
    }
}

# Run fio on a disk. I/O may fail but must not return wrong data, and fio must end within
# so many seconds; its exit status is in $fio_status.
fio_may_fail() { # SECONDS DISK FIO-OPTION...
    local limit=$1 disk=$2
    shift 2
    fio_status=0
    timeout -k 1 "$limit" fio --name=hostile --filename="/dev/$disk" --direct=1 \
        --ioengine=io_uring --rw=randwrite --bs=4k --iodepth=16 --size=256k --verify=crc32c \
        --verify_fatal=1 --allow_file_create=0 --randseed=$RANDOM "$@" >/tmp/hostile.fio 2>&1 || fio_status=$?
    ((fio_status != 124 && fio_status != 137)) || die "expected fio to end within $limit s: $(hostile state)"
    if grep -q -E 'verify: bad|verify failed|multibyte' /tmp/hostile.fio; then
        die "expected an error or the data written, saw wrong data: $(cat /tmp/hostile.fio)"
    fi
}

# Unbind a controller while fio works on its disk: fio must end with errors.
unbind_under_fio() { # BDF DISK
    start_fio "$2"
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind || die "unbinding $1 failed"
    expect_fio_fails 15
}
