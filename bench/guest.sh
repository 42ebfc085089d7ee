# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Runs in the guest: the words of the plan that the runner wrote.  Output for the runner
# (bench/lib/session.py) goes to a port of its own: the console loses output that the
# host does not read at once.

. /tests/guest/lib.sh
# shellcheck source=scripts/bindlib.sh
. /scripts/bindlib.sh
# shellcheck source=bench/common.sh
. /bench/common.sh
# shellcheck source=bench/lists.sh
. /bench/lists.sh

data=/dev/vport0p1

# The kernel's functions and their addresses, which nokaslr keeps the same.
kernel_symbols() {
    awk 'NF == 3 && $2 ~ /[tTwW]/ { print "symbol", $1, $3 }' /proc/kallsyms >&3
}

# The addresses of a module's code sections.
sections() { # MODULE
    local file
    for file in "/sys/module/$1/sections"/.*text*; do
        tell "section $1 ${file##*/} $(<"$file")"
    done
}

# Load both drivers again, without a controller.
drivers() { # RNVME-OPTIONS NVME-OPTIONS
    local dev
    for dev in $(controllers); do
        release "$dev"
        echo none >"$PCI/devices/$dev/driver_override"
    done
    if [[ -e /sys/module/rnvme ]]; then
        unload
        remove_module rmmod nvme || die "rmmod nvme failed"
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

# $disk: all namespaces of the controller instead of the first.
all_disks() { # BDF DRIVER
    local path names=()
    for path in "$PCI/devices/$1/$2/$2"*/"$2"*n*; do
        [[ -e $path/dev ]] || continue
        set_queue "${path##*/}"
        names+=("/dev/${path##*/}")
    done
    disk=$(IFS=: && echo "${names[*]}")
}

# A file in memory whose consecutive pages are not adjacent: the kernel allocates a page at
# its first write, and every second page is written before the others.  Two pages may still
# be adjacent by chance: repeated until the disk sees each page as a segment of its own.
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
        # More than 8192 events would not fit in the trace buffer.
        ((pieces > 0 && pieces <= 8192)) || break
        [[ $(mapped "$ios" --mem="mmapshared:$file" "$@") != "$pieces" ]] || break
        # Keep these pages, so that the next try gets others.
        mv "$file" "$file.$tries"
    done
    [[ -e $file ]] || die "expected scattered pages within 20 tries ($bytes bytes)"
    echo "$file"
}

# The number of DMA mappings of so many I/Os.
mapped() { # NUMBER FIO-OPTION...
    local trace=/sys/kernel/debug/tracing number=$1
    shift
    echo >$trace/trace
    echo 1 >$trace/events/dma/dma_map_phys/enable
    measured --number_ios="$number" "$@" >/dev/null
    echo 0 >$trace/events/dma/dma_map_phys/enable
    grep -c dma_map_phys: $trace/trace
}

# Run fio for each number of I/Os, between two marks; its output goes to the runner.
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
    # MemFree leaves out the free pages on the lists of each CPU: keep these lists short.
    echo 1000000 >/proc/sys/vm/percpu_pagelist_high_fraction
    echo 1 >/proc/sys/vm/compact_memory
    echo 3 >/proc/sys/vm/drop_caches
    awk '/^MemFree/ { print $2 }' /proc/meminfo
}

# Report the tags of a queue, the number of queues, and the KiB of memory that a driver
# takes for a controller.
memory() { # BDF DRIVER OPTIONS
    local before queues
    drivers "$3" "$3"
    # A first run, because memory that stays in the kernel's caches is not the driver's.
    use "$1" "$2"
    release "$1"
    before=$(free_memory)
    use "$1" "$2"
    queues=$(find "/sys/block/${disk##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)
    tell "value memory $(<"/sys/block/${disk##*/}/queue/nr_requests") $queues $((before - $(free_memory)))"
}

# Report the bytes of a request with the driver's data: the distance of two requests.
request_size() { # BDF DRIVER
    local trace=/sys/kernel/debug/tracing tags='rq->mq_hctx->tags->static_rqs' line
    use "$1" "$2"
    echo "p:start blk_mq_start_request one=+0($tags):x64 two=+8($tags):x64" >$trace/kprobe_events ||
        die "no probe: $(cat $trace/error_log)"
    echo >$trace/trace
    echo 1 >$trace/events/kprobes/start/enable
    measured --number_ios=1 --rw=randread --bs=4k >/dev/null
    echo 0 >$trace/events/kprobes/start/enable
    line=$(grep -m 1 'one=.* two=' $trace/trace) || die "expected a request in the trace, saw none"
    echo >$trace/kprobe_events
    [[ $line =~ one=(0x[0-9a-f]+)\ two=(0x[0-9a-f]+) ]] || die "$line"
    tell "value request $((BASH_REMATCH[2] - BASH_REMATCH[1]))"
}

# Opened once: only one process may open a port.
exec 3>"$data" || die "there is no $data"
# shellcheck source=/dev/null
. /jobs/plan
