# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Shadow doorbells save as many register writes as with nvme, on the same controller at the
# same depths.  The number of writes depends on how busy the device is, so the drivers
# take turns and the test compares the sums, of more turns if few do not decide.
#@ machine: modes
#@ timeout: 240
#@ kernels: stock
#@ allow-trace: pci_nvme_err_req_status pci_nvme_err_invalid_opc
. /tests/guest/lib.sh
bdf=0000:00:04.0
declare -A writes=()

# Register writes for 2000 reads at a depth.
count() { # DRIVER DISK DEPTH
    local before after
    echo none >"/sys/block/$2/queue/scheduler"
    before=$(host trace-count "pci_nvme_mmio_doorbell_*")
    taskset -c 1 fio --name=count --filename="/dev/$2" --direct=1 --ioengine=io_uring --rw=randread \
        --bs=4k --size=16m --number_ios=2000 --iodepth="$3" >/tmp/fio.log 2>&1 ||
        die "fio: $(cat /tmp/fio.log)"
    after=$(host trace-count "pci_nvme_mmio_doorbell_*")
    writes[$1.$3]=$((${writes[$1.$3]:-0} + after - before))
}

bind() { # DRIVER DISK
    echo "$1" >/sys/bus/pci/devices/$bdf/driver_override
    echo $bdf >/sys/bus/pci/drivers_probe
    wait_for 20 test -b "/dev/$2"
}

unbind() { echo $bdf >/sys/bus/pci/devices/$bdf/driver/unbind; }

modprobe nvme || die "modprobe nvme failed"
[[ ! -e /sys/bus/pci/devices/$bdf/driver ]] || unbind
load
[[ ! -e /sys/bus/pci/devices/$bdf/driver ]] || unbind
host trace-on "pci_nvme_mmio_doorbell_*"

# The drivers take turns at every depth.
take_turns() { # HOW-OFTEN
    local round depth
    for ((round = 0; round < $1; round++)); do
        bind rnvme rnvme0n1
        for depth in 1 2 4 8; do
            count rnvme rnvme0n1 $depth
        done
        unbind
        bind nvme nvme0n1
        for depth in 1 2 4 8; do
            count nvme nvme0n1 $depth
        done
        unbind
    done
}

# The depths at which rnvme has more register writes; up to a tenth more is noise.
worse() {
    local depth
    for depth in 1 2 4 8; do
        ((${writes[rnvme.$depth]} * 10 <= ${writes[nvme.$depth]} * 11)) || echo $depth
    done
}

turns=0
while
    take_turns 3
    ((turns += 3))
    [[ -n $(worse) ]] && ((turns < 12))
do :; done
host trace-off "pci_nvme_mmio_doorbell_*"
for depth in 1 2 4 8; do
    per=$((turns * 20))
    echo "depth $depth: $((${writes[rnvme.$depth]} / per)) register writes for 100 reads, nvme $((${writes[nvme.$depth]} / per)), $turns turns"
done
expect "depths with more register writes than nvme" "" "$(worse)"
echo >/sys/bus/pci/devices/$bdf/driver_override
unload
remove_module modprobe -r nvme || die "modprobe -r nvme failed"
