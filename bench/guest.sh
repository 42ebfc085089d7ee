# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What runs in the guest: the plan that the runner wrote, in these words.  What
# is for the runner (scripts/benchlib/session.py) goes to a port of its own: the
# console loses what the host does not take at once.

. /tests/guest/lib.sh

PCI=/sys/bus/pci
data=/dev/vport0p1
disk=''

tell() { # WORD...
    echo "$*" >&3
}

# The kernel's own functions and where they are; always there with nokaslr.
kernel_symbols() {
    awk 'NF == 3 && $2 ~ /[tTwW]/ { print "symbol", $1, $3 }' /proc/kallsyms >&3
}

# Where the code of a module lies.
sections() { # MODULE
    local file
    for file in "/sys/module/$1/sections"/.*text*; do
        tell "section $1 ${file##*/} $(<"$file")"
    done
}

# Load both drivers anew, neither having a controller.
drivers() { # RNVME-OPTIONS NVME-OPTIONS
    local dev
    for dev in $(controllers); do
        release "$dev"
        echo none >"$PCI/devices/$dev/driver_override"
    done
    if [[ -e /sys/module/rnvme ]]; then
        unload
        rmmod nvme || die "rmmod nvme failed"
    fi
    # shellcheck disable=SC2086 # words on purpose
    load $1
    # shellcheck disable=SC2086
    modprobe nvme $2 || die "modprobe nvme $2 failed"
    tell drivers
    sections rnvme
    sections nvme
    sections nvme_core
}

controllers() {
    local dev
    for dev in "$PCI"/devices/*; do
        [[ $(<"$dev/class") != 0x010802 ]] || echo "${dev##*/}"
    done
}

release() { # BDF
    [[ ! -e $PCI/devices/$1/driver ]] || echo "$1" >"$PCI/devices/$1/driver/unbind"
}

# Give a controller to a driver, set up its disk and say how long that took.
use() { # BDF DRIVER
    local dev=$PCI/devices/$1 start file queue
    release "$1"
    echo "$2" >"$dev/driver_override"
    start=${EPOCHREALTIME/./}
    echo "$1" >$PCI/drivers_probe
    wait_for 20 find_disk "$1" "$2"
    find_disk "$1" "$2"
    tell "probe $2 $((${EPOCHREALTIME/./} - start))"
    queue=/sys/block/${disk##*/}/queue
    # The same for both, and nothing that the block layer does by the way.
    for file in scheduler=none nomerges=2 iostats=0 rq_affinity=1 wbt_lat_usec=0 \
        max_sectors_kb=512 add_random=0; do
        [[ ! -w $queue/${file%=*} ]] || echo "${file#*=}" >"$queue/${file%=*}" 2>/dev/null ||
            die "$queue/${file%=*} does not take ${file#*=}"
    done
    tell "bound $2 $(<"$queue/nr_requests") $(<"$queue/max_segments") $(<"$queue/max_sectors_kb")"
    # What happens once happens now.
    measured "$disk" --number_ios=64 --rw=randread --bs=4k --iodepth=4 >/dev/null
}

find_disk() { # BDF DRIVER
    local path
    for path in "$PCI/devices/$1/$2/$2"*/"$2"*n1; do
        [[ -e $path/dev ]] || return 1
        disk=/dev/${path##*/}
        [[ -b $disk ]]
    done
}

# A file in memory whose neighbouring pages are no neighbours: a page is given
# when it is first written, and every second one is written before the others.
# Two may still meet by chance: tried until the disk sees each page by itself.
scattered() { # BYTES IOS PIECES-OF-THESE FIO-OPTION...
    local bytes=$1 ios=$2 pieces=$3 file=/tmp/scattered.$1.$2.$3 first tries
    shift 3
    for tries in {1..20}; do
        [[ ! -e $file ]] || break
        truncate -s "$bytes" "$file"
        for first in 0 4k; do
            fio --name=scatter --filename="$file" --rw=write:4k --bs=4k --offset="$first" \
                --size="$bytes" --io_size=$((bytes / 2)) --ioengine=psync --fallocate=none \
                >/tmp/fio.log 2>&1 || die "fio: $(cat /tmp/fio.log)"
        done
        # More would not fit in the kernel's trace.
        ((pieces > 0 && pieces <= 8192)) || break
        [[ $(mapped "$ios" --mem="mmapshared:$file" "$@") != "$pieces" ]] || break
        # What was given stays taken, so that the next try gets others.
        mv "$file" "$file.$tries"
    done
    [[ -e $file ]] || die "no memory that is scattered ($bytes bytes)"
    echo "$file"
}

# How often so many I/Os map memory for the device.
mapped() { # NUMBER FIO-OPTION...
    local trace=/sys/kernel/debug/tracing number=$1
    shift
    echo >$trace/trace
    echo 1 >$trace/events/dma/dma_map_phys/enable
    measured "$disk" --number_ios="$number" "$@" >/dev/null
    echo 0 >$trace/events/dma/dma_map_phys/enable
    grep -c dma_map_phys: $trace/trace
}

measured() { # DISK FIO-OPTION...
    local disk=$1
    shift
    # fio's own thread stays out of the way of its jobs, which say where they run.
    taskset -c 1 fio --name=cell --filename="$disk" --direct=1 --ioengine=io_uring --size=1g --norandommap \
        --randrepeat=1 --group_reporting --output-format=json "$@" 2>/tmp/fio.err ||
        { cat /tmp/fio.err; die "fio failed: $*"; }
}

# Runs of fio between two marks each; what fio says goes to the runner.
sample() { # NAME NUMBERS BYTES IOS PIECES-OF-THESE FIO-OPTION...
    local name=$1 numbers=$2 memory number
    memory=$(scattered "${@:3}") || die "$memory"
    shift 5
    for number in $numbers; do
        /usr/bin/mark
        measured "$disk" --mem="mmapshared:$memory" --number_ios="$number" "$@" >/tmp/fio.json
        /usr/bin/mark
        tell "sample $name"
        cat /tmp/fio.json >&3
        tell end
        echo "$name"
    done
}

free_memory() {
    sync
    # Lists of free pages of each CPU are not counted as free: keep them short.
    echo 1000000 >/proc/sys/vm/percpu_pagelist_high_fraction
    echo 1 >/proc/sys/vm/compact_memory
    echo 3 >/proc/sys/vm/drop_caches
    awk '/^MemFree/ { print $2 }' /proc/meminfo
}

# Memory that a driver takes for a controller with queues of some depth, in KiB.
memory() { # BDF DRIVER DEPTH
    local before queues
    drivers "io_queue_depth=$3" "io_queue_depth=$3"
    # Once without looking: what stays in the kernel's caches is no driver's.
    use "$1" "$2"
    release "$1"
    before=$(free_memory)
    use "$1" "$2"
    queues=$(find "/sys/block/${disk##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)
    tell "value memory $(<"/sys/block/${disk##*/}/queue/nr_requests") $queues $((before - $(free_memory)))"
}

# Opened once: a port takes one at a time.
exec 3>"$data" || die "there is no $data"
# shellcheck source=/dev/null
. /jobs/plan
