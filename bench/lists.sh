# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # bench/guest.sh has the variables
# Sourced by bench/guest.sh: memory of a controller while large requests are in flight, and what
# they wait for.

tracing=/sys/kernel/debug/tracing

# Record the events of a trace instance from now on, in so many KiB for each CPU.
record() { # INSTANCE KIB STACKTRACE EVENT...
    local instance=$tracing/instances/$1 event
    mkdir "$instance" || die "no trace instance"
    echo "$2" >"$instance/buffer_size_kb"
    echo "$3" >"$instance/options/stacktrace"
    shift 3
    for event; do echo 1 >"$instance/events/$event/enable" || die "no event $event"; done
}

forget() { # INSTANCE
    echo 0 >"$tracing/instances/$1/events/enable"
    rmdir "$tracing/instances/$1" || die "the trace instance stays"
}

# The bytes that are allocated, by the events of an instance: objects of slabs, and pages that are
# not of slabs, that a driver is on the stack of.
live_bytes() { # INSTANCE DRIVER
    grep -q 'LOST.*EVENTS' "$tracing/instances/$1/trace" && die "events were lost"
    awk -v ours="\\[($2|$2_core)\\]" '
        function settle() {
            if (key != "" && is_ours && !is_slab) live[key] = bytes
            key = ""
        }
        function value(name) {
            return match($0, " " name "=[^ ]+") ? substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 2) : ""
        }
        /^ => / {
            if ($0 ~ ours) is_ours = 1
            if (/allocate_slab|new_slab|kmalloc_large/) is_slab = 1
            next
        }
        /: (kmalloc|kmem_cache_alloc): / {
            settle(); is_ours = is_slab = 0
            key = value("ptr"); bytes = value("bytes_alloc"); next
        }
        /: mm_page_alloc: / {
            settle(); is_ours = is_slab = 0
            key = value("pfn"); bytes = 4096
            for (order = value("order"); order > 0; order--) bytes *= 2
            next
        }
        /: (kfree|kmem_cache_free): / { settle(); delete live[value("ptr")]; next }
        /: mm_page_free(_batched)?: / { settle(); delete live[value("pfn")]; next }
        END {
            settle()
            for (key in live) sum += live[key]
            printf "%d\n", sum
        }' "$tracing/instances/$1/trace"
}

# The bytes of coherent memory that were allocated and not freed, by the events of an instance.
coherent_bytes() { # INSTANCE BDF
    awk -v device=" $2 " 'index($0, device) && match($0, / size=[0-9]+/) {
        bytes = substr($0, RSTART + 6, RLENGTH - 6)
        if (/ dma_alloc: /) sum += bytes
        if (/ dma_free: /) sum -= bytes
    } END { printf "%d\n", sum }' "$tracing/instances/$1/trace"
}

# Report tags, queues and bytes of memory: when idle, while 128 reads of 256 KiB are in flight, and a
# minute later.
load_memory() { # BDF DRIVER OPTIONS
    local idle load queues
    drivers "$3" "$3"
    use "$1" "$2"
    release "$1"
    record idle 16000 1 kmem/kmalloc kmem/kfree kmem/kmem_cache_alloc kmem/kmem_cache_free \
        kmem/mm_page_alloc kmem/mm_page_free kmem/mm_page_free_batched
    take "$1" "$2"
    read -r -t 2 -u "$never" || true
    echo 0 >$tracing/instances/idle/tracing_on
    idle=$(live_bytes idle "$2") || die "$idle"
    forget idle
    set_queue "$disk"
    record load 1000 0 dma/dma_alloc dma/dma_free
    large --number_ios=2048 >/dev/null
    load=$(coherent_bytes load "$1")
    read -r -t 60 -u "$never" || true
    queues=$(find "/sys/block/${disk##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)
    tell "value load $(<"/sys/block/${disk##*/}/queue/nr_requests") $queues $idle $((idle + load))" \
        "$((idle + $(coherent_bytes load "$1")))"
    forget load
}

large() { # FIO-OPTION...
    measured --rw=randread --bs=256k --iodepth=128 --iodepth_batch_submit=128 \
        --iodepth_batch_complete_min=128 --iodepth_batch_complete_max=128 --cpus_allowed=0 "$@"
}

# Report how often requests were queued again, and the latencies of fio, of 3000 reads of 256 KiB,
# 128 at a time.
large_reads() { # BDF DRIVER
    local requeues
    use "$1" "$2"
    large --number_ios=512 >/dev/null
    record again 1000 0 block/block_rq_requeue
    large --number_ios=3000 >/tmp/fio.json
    requeues=$(grep -c block_rq_requeue: $tracing/instances/again/trace)
    forget again
    tell "value requeues $requeues"
    keep large /tmp/fio.json
}
