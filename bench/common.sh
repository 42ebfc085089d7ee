# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by bench/guest.sh and bench/device.sh: give a controller to a driver, set up its
# disk, run fio on it.  Output for the runner (bench/lib/output.py) goes to descriptor 3.
# To be sourced after scripts/bindlib.sh by a script that has a function `die`.

disk=''
# The part of the disk that fio uses.
size=1g
# A pipe without a writer: a read with a timeout is a sleep without a process.
exec {never}<> <(:)

tell() { # WORD...
    echo "$*" >&3
}

release() { # BDF
    [[ ! -e $PCI/devices/$1/driver ]] || echo "$1" >"$PCI/devices/$1/driver/unbind"
}

# $disk: the first disk of a controller. Starts no process, because this is timed.
find_disk() { # BDF DRIVER
    local path control
    for control in "$PCI/devices/$1/$2/$2"*; do
        # With the kernel's native multipath the disk hangs on the subsystem.
        for path in "$control/$2"*n1 /sys/class/nvme-subsystem/*/"${control##*/}"/../nvme*n1; do
            disk=/dev/${path##*/}
            [[ ! -e $path/dev || ! -b $disk ]] || return 0
        done
    done
    return 1
}

# Give a controller to a driver and report the microseconds until its disk exists.
take() { # BDF DRIVER
    local start until
    release "$1"
    start=${EPOCHREALTIME/./} until=$((SECONDS + 20))
    give "$1" "$2" || die "$2 did not take $1"
    until find_disk "$1" "$2"; do
        ((SECONDS < until)) || die "expected a disk of $1 from $2 within 20 s, saw none"
        read -r -t 0.002 -u "$never" || true
    done
    tell "probe $2 $((${EPOCHREALTIME/./} - start))"
}

# Equal settings for both drivers, and no optional work of the block layer.
set_queue() { # DISK
    local file queue=/sys/block/${1##*/}/queue
    for file in scheduler=none nomerges=2 iostats=0 rq_affinity=1 wbt_lat_usec=0 \
        max_sectors_kb=512 add_random=0; do
        [[ ! -w $queue/${file%=*} ]] || echo "${file#*=}" >"$queue/${file%=*}" 2>/dev/null ||
            die "$queue/${file%=*} does not take ${file#*=}"
    done
}

# Give a controller to a driver and make it ready for measuring.
use() { # BDF DRIVER
    take "$1" "$2"
    set_queue "$disk"
    # A first run, so that one-time costs are not measured.
    measured --number_ios=64 --rw=randread --bs=4k --iodepth=4 >/dev/null
}

measured() { # FIO-OPTION...
    # fio's main thread runs on the last CPU; the jobs set their own CPUs.
    taskset -c $(($(nproc --all) - 1)) fio --name=cell --filename="$disk" --direct=1 \
        --ioengine=io_uring --size="$size" --norandommap --randrepeat=1 --group_reporting \
        --output-format=json "$@" 2>/tmp/fio.err ||
        { cat /tmp/fio.err; die "fio failed: $*"; }
}

# Send fio's output to the runner.
keep() { # NAME FILE
    tell "sample $1"
    cat "$2" >&3
    tell end
    echo "$1"
}
