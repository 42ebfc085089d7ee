# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Devices of the table of quirks: the controller bears their ids, and cannot stand what such a
# device cannot stand. Each is found anew, bound, and has its quirks in sysfs and in effect.
#@ machine: hostile
#@ timeout: 150
. /tests/guest/lib.sh
class=/sys/class/rnvme/rnvme0
queue=/sys/block/rnvme0n1/queue
# The device is another one from now on: the kernel forgets it and finds it again, and the driver
# binds it.
become() { # OPTION=VALUE ...
    hostile "new; back; set $1"
    echo 1 >"/sys/bus/pci/devices/$bdf/remove"
    mark
    echo 1 >/sys/bus/pci/rescan
}
# It has these quirks and a disk that can be read.
expect_quirks() { # NAME...
    # The PCI core probes a device that it finds while others go on.
    wait_for 20 test -b /dev/rnvme0n1
    expect "quirks" "$*" "$(tr '\n' ' ' <$class/quirks | sed 's/ $//')"
    may_read 10 || die "expected a disk that can be read with $*"
}
zero_a_megabyte() {
    put_noise rnvme0n1 4
    blkdiscard -z -o $((4 << 20)) -l $((1 << 20)) /dev/rnvme0n1 || die "blkdiscard -z failed"
    dd if=/dev/rnvme0n1 bs=64k skip=64 count=16 iflag=direct status=none | cmp -n $((1 << 20)) - /dev/zero ||
        die "expected zeroes after blkdiscard -z"
}

load_unbound io_queue_depth=64 quirks=1234:5678:admin_page_align-8086:f1a5:^no_temp_thresh_change
# A device without any: what follows sees the opposite of each of these.
become "device=0x9999 apst=1"
expect_quirks none
expect "chunk_sectors" 0 "$(<$queue/chunk_sectors)"
expect_like "transitions" "(1, [[]3, 3, 3, 4,*" "$(hostile transitions)"
(($(hostile count identify 3))) || die "expected Identify of CNS 03h"
expect_like "state" "*priorities={1: 0,*" "$(hostile state)"
expect "SUBNQN" nqn.2014-08.org.example:h0 "$(<$class/subsysnqn)"
(($(<$queue/write_zeroes_max_bytes))) || die "expected Write Zeroes"
expect "bits of DMA addresses" 64 "$(<"/sys/bus/pci/devices/$bdf/dma_mask_bits")"
# Intel P3600: stripes; deallocated blocks read as zeroes; a pause after a reset of the function.
become "vendor=0x8086 device=0x0953 mdts=5 flrdelay=250"
expect_quirks stripe_size deallocate_zeroes delay_after_flr
expect "chunk_sectors" 256 "$(<$queue/chunk_sectors)"
zero_a_megabyte
expect "Write Zeroes" 0 "$(hostile count io 8)"
(($(hostile count io 9))) || die "expected Dataset Management"
hostile "arm fatal step=enable"
echo 1 >$class/reset_controller || die "expected the reset to succeed after one of the function"
may_read 10 || die "expected a disk after a reset of the function"
# Intel 600P: the deepest power state, the priority of queues, Write Zeroes.
become "vendor=0x8086 device=0xf1a5 apst=1"
expect_quirks no_deepest_ps medium_prio_sq disable_write_zeroes
expect_like "transitions" "(1, [[]3, 3, 3, 0,*" "$(hostile transitions)"
expect_like "state" "*priorities={1: 2,*" "$(hostile state)"
expect "bytes of Write Zeroes" 0 "$(<$queue/write_zeroes_max_bytes)"
# Phison E12: identifiers that are not unique do not tell namespaces apart.
become "vendor=0x1987 device=0x5012"
expect_quirks bogus_nid
hostile "ns identity 1 another quiet"
echo 1 >$class/rescan_controller
expect "namespaces that were replaced" 0 "$(klog_count "was replaced by another")"
may_read 10 || die "expected the same disk"
# QEMU's first ids: only CNS 00h and 01h are known, so namespaces are asked for one by one.
become "vendor=0x8086 device=0x5845 ns=2 vs=0x10000"
expect_quirks identify_cns disable_write_zeroes bogus_nid
wait_for 2 test -b /dev/rnvme0n2
for cns in 2 3 5 6 8; do
    expect "Identify of CNS $cns" 0 "$(hostile count identify $cns)"
done
# Samsung PM1725: it states queues of one entry, and has more.
become "vendor=0x144d device=0xa821 mqes=0 rdydelay=2200"
expect_quirks delay_before_chk_rdy mqes_zero
expect "nr_requests" 63 "$(<$queue/nr_requests)"
# O2 Micro: PRP lists must begin at multiples of 512 bytes; the controller complains of others.
become "vendor=0x1217 device=0x8760 listalign=512"
expect_quirks dmapool_align_512
verify rnvme0n1 --bs=64k --size=1m --iodepth=8
# Apple: another class, one vector, one command at a time; and what cannot be driven.
become "vendor=0x106b device=0x2001 class=0x018002"
expect_quirks qdepth_one single_vector
expect "commands of a queue" 1 "$(<$class/sqsize)"
expect "vectors" 1 "$(grep -c rnvme0q /proc/interrupts)"
verify rnvme0n1 --bs=4k --size=256k --iodepth=4
become "vendor=0x106b device=0x2005 class=0x018002"
refused() { (($(klog_count "not driven"))); }
wait_for 20 refused
expect_klog "not driven: the device needs 128_bytes_sqes, shared_tags, skip_cid_gen"
[[ ! -e $class ]] || die "expected no controller that needs 128-byte entries"
# How these are found or take effect, the debug kernel has seen with others above.
if ! is_debug; then
    # Lexar: CNS 03h is not known; SUBNQN is not unique.
    become "vendor=0x1b4b device=0x1092"
    expect_quirks ignore_dev_subnqn no_ns_desc_list
    expect "Identify of CNS 03h" 0 "$(hostile count identify 3)"
    expect_like "SUBNQN" "nqn.2014.08.org.nvmexpress:1b4b1b4bh0 *" "$(<$class/subsysnqn)"
    # Later versions of QEMU have the first ids, and know more.
    become "vendor=0x8086 device=0x5845 vs=0x10400"
    expect_quirks identify_cns disable_write_zeroes bogus_nid
    for cns in 2 3 6; do
        (($(hostile count identify $cns))) || die "expected Identify of CNS $cns"
    done
    # Amazon: 48 bits of DMA addresses.
    become "vendor=0x1d0f device=0x8061"
    expect_quirks dma_address_bits_48
    expect "bits of DMA addresses" 48 "$(<"/sys/bus/pci/devices/$bdf/dma_mask_bits")"
    # Memblaze: CSTS.RDY is not ready to be looked at.
    become "vendor=0x1c5f device=0x0540 rdydelay=2000"
    expect_quirks delay_before_chk_rdy
    echo 1 >$class/reset_controller || die "the reset failed"
    may_read 10 || die "expected a disk after the reset"
    # By model, by firmware.
    become "vendor=0x1179 device=1 model=THNSF5256GPUK_TOSHIBA apst=1"
    expect_quirks no_apst
    expect_like "transitions" "(0, [[]0, 0, 0, 0,*" "$(hostile transitions)"
    become "vendor=0x14a4 device=1 firmware=22301111"
    expect_quirks simple_suspend
    # By board, if the kernel knows it; another device in the same board has none.
    become "vendor=0x144d device=0xa801"
    if [[ -e /sys/class/dmi/id/board_name ]]; then
        expect_quirks simple_suspend
    else
        expect_quirks none
    fi
    become "vendor=0x144d device=0xa804"
    expect_quirks none
fi
# By the parameter: data of admin commands at pages.
become "device=0x5678 adminalign=4096 apst=1"
expect_quirks admin_page_align
unload
