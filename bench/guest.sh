# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What runs in the guest: the plan that the runner wrote, in these words.  What
# is for the runner (bench/lib/session.py) goes to a port of its own: the
# console loses what the host does not take at once.

. /tests/guest/lib.sh
# shellcheck source=scripts/bindlib.sh
. /scripts/bindlib.sh
# shellcheck source=bench/common.sh
. /bench/common.sh

data=/dev/vport0p1

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

# All namespaces of the controller instead of the first.
all_disks() { # BDF DRIVER
    local path names=()
    for path in "$PCI/devices/$1/$2/$2"*/"$2"*n*; do
        [[ -e $path/dev ]] || continue
        set_queue "${path##*/}"
        names+=("/dev/${path##*/}")
    done
    disk=$(IFS=: && echo "${names[*]}")
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
    measured --number_ios="$number" "$@" >/dev/null
    echo 0 >$trace/events/dma/dma_map_phys/enable
    grep -c dma_map_phys: $trace/trace
}

# Runs of fio between two marks each; what fio says goes to the runner.
sample() { # NAME NUMBERS BYTES IOS PIECES-OF-THESE FIO-OPTION...
    local name=$1 numbers=$2 memory number
    memory=$(scattered "${@:3}") || die "$memory"
    shift 5
    for number in $numbers; do
        /usr/bin/mark
        measured --mem="mmapshared:$memory" --number_ios="$number" "$@" >/tmp/fio.json
        /usr/bin/mark
        keep "$name" /tmp/fio.json
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

# Memory that a driver takes for a controller, in KiB, with the tags of a queue and
# the queues that it has.
memory() { # BDF DRIVER OPTIONS
    local before queues
    drivers "$3" "$3"
    # Once without looking: what stays in the kernel's caches is no driver's.
    use "$1" "$2"
    release "$1"
    before=$(free_memory)
    use "$1" "$2"
    queues=$(find "/sys/block/${disk##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)
    tell "value memory $(<"/sys/block/${disk##*/}/queue/nr_requests") $queues $((before - $(free_memory)))"
}

# Bytes of a request with the driver's data behind it: what is between two of them.
request_size() { # BDF DRIVER
    local trace=/sys/kernel/debug/tracing tags='rq->mq_hctx->tags->static_rqs' line
    use "$1" "$2"
    echo "p:start blk_mq_start_request one=+0($tags):x64 two=+8($tags):x64" >$trace/kprobe_events ||
        die "no probe: $(cat $trace/error_log)"
    echo >$trace/trace
    echo 1 >$trace/events/kprobes/start/enable
    measured --number_ios=1 --rw=randread --bs=4k >/dev/null
    echo 0 >$trace/events/kprobes/start/enable
    line=$(grep -m 1 'one=.* two=' $trace/trace) || die "no request was seen"
    echo >$trace/kprobe_events
    [[ $line =~ one=(0x[0-9a-f]+)\ two=(0x[0-9a-f]+) ]] || die "$line"
    tell "value request $((BASH_REMATCH[2] - BASH_REMATCH[1]))"
}

# Opened once: a port takes one at a time.
exec 3>"$data" || die "there is no $data"
# shellcheck source=/dev/null
. /jobs/plan
