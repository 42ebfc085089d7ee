# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The driver sets interrupt coalescing as the parameters say, after it has created the queues
# and excluded the admin queue's vector; without parameters it sets nothing. QEMU refuses
# both features: a log line each, and the driver works on.
#@ machine: bookless
#@ timeout: 60
#@ allow-trace: pci_nvme_err_req_status
. /tests/guest/lib.sh

# The steps in order: "FEATURE=CDW11" of each Set Features of queues and interrupts, "queue"
# for each submission queue created.
steps() {
    host trace-log "pci_nvme_*" | sed -n \
        -e 's/^pci_nvme_setfeat .* fid \(0x[789]\) .* cdw11 \(0x[0-9a-f]*\).*/\1=\2/p' \
        -e 's/^pci_nvme_create_sq .*/queue/p' | tail -n +$((before + 1)) | xargs
}

# Load with parameters; the steps must be as expected.
check() { # STEPS PARAMETER...
    local expected=$1
    shift
    before=0
    before=$(steps | wc -w)
    mark
    load_disk "$@"
    expect "what is set with '$*'" "$expected" "$(steps)"
}

host trace-on pci_nvme_setfeat
host trace-on pci_nvme_create_sq
check "0x7=0x10001 queue queue"
expect "refusals" 0 "$(klog_count "Set Features")"
unload

# 300 us, 8 completions (7, zero-based); vector 0 must not coalesce.
check "0x7=0x10001 queue queue 0x9=0x10000 0x8=0x307" irq_coalescing_time=3 irq_coalescing_threshold=8
for feature in "Interrupt Vector Configuration" "Interrupt Coalescing"; do
    expect "lines about $feature" 1 "$(klog_count "Set Features ($feature)")"
done
verify rnvme0n1 --bs=4k --size=2m --iodepth=16
unload

check "0x7=0x10001 queue queue 0x9=0x10000 0x8=0xffff" irq_coalescing_time=255 irq_coalescing_threshold=256
bdf=$(pci_of rnvme0)

# The only vector serves all queues, so it is not excluded.
before=0
before=$(steps | wc -w)
if bind_to_pin "$bdf" rnvme0n1; then
    expect "what is set with one vector" "0x7=0x10001 queue 0x8=0xffff" "$(steps)"
    unbind_from_pin "$bdf"
fi
host trace-off pci_nvme_setfeat
host trace-off pci_nvme_create_sq
unload
