# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What bench/guest.sh and bench/device.sh share: a controller is given to a
# driver, its disk set up, fio run on it.  What is for the runner
# (bench/lib/output.py) goes to descriptor 3.  To be sourced after
# scripts/bindlib.sh, by what has a function `die`.

disk=''
# How much of the disk fio works on.
size=1g
# Nobody writes to it: a sleep without a process.
exec {never}<> <(:)

tell() { # WORD...
    echo "$*" >&3
}

release() { # BDF
    [[ ! -e $PCI/devices/$1/driver ]] || echo "$1" >"$PCI/devices/$1/driver/unbind"
}

# The first disk of a controller, in $disk. No other process: this is timed.
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

# Give a controller to a driver, and say how long it took until its disk was there.
take() { # BDF DRIVER
    local start until
    release "$1"
    start=${EPOCHREALTIME/./} until=$((SECONDS + 20))
    give "$1" "$2" || die "$2 did not take $1"
    until find_disk "$1" "$2"; do
        ((SECONDS < until)) || die "$2 makes no disk of $1"
        read -r -t 0.002 -u "$never" || true
    done
    tell "probe $2 $((${EPOCHREALTIME/./} - start))"
}

# The same for both drivers, and nothing that the block layer does by the way.
set_queue() { # DISK
    local file queue=/sys/block/${1##*/}/queue
    for file in scheduler=none nomerges=2 iostats=0 rq_affinity=1 wbt_lat_usec=0 \
        max_sectors_kb=512 add_random=0; do
        [[ ! -w $queue/${file%=*} ]] || echo "${file#*=}" >"$queue/${file%=*}" 2>/dev/null ||
            die "$queue/${file%=*} does not take ${file#*=}"
    done
}

# Give a controller to a driver, ready to be measured.
use() { # BDF DRIVER
    take "$1" "$2"
    set_queue "$disk"
    # What happens once happens now.
    measured --number_ios=64 --rw=randread --bs=4k --iodepth=4 >/dev/null
}

measured() { # FIO-OPTION...
    # fio's own thread stays out of the way of its jobs, which say where they run.
    taskset -c $(($(nproc --all) - 1)) fio --name=cell --filename="$disk" --direct=1 \
        --ioengine=io_uring --size="$size" --norandommap --randrepeat=1 --group_reporting \
        --output-format=json "$@" 2>/tmp/fio.err ||
        { cat /tmp/fio.err; die "fio failed: $*"; }
}

# What fio says goes to the runner.
keep() { # NAME FILE
    tell "sample $1"
    cat "$2" >&3
    tell end
    echo "$1"
}
