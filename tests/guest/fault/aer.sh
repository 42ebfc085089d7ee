# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The root port reports a fatal error under I/O. The PCI core tells the driver to stop,
# resets the link (in vain, in QEMU) and tells the driver that the device is lost.  I/O
# ends within the bound; after a remove and a rescan the disk is back.
#@ timeout: 60
#@ allow-trace: pci_nvme_err_* pci_nvme_ub_*
. /tests/guest/lib/recovery.sh
start_driver
put_noise $disk 100
start_fio $disk --size=4m
mark
start=$EPOCHREALTIME
qmp human-monitor-command '{"command-line":"pcie_aer_inject_error rp0 DLP"}'
ended() { ! kill -0 $fio_job 2>/dev/null; }
over() { ended || { is_state live && (($(klog | grep -c -i 'aer:'))); }; }
told() { (($(klog | grep -c -i 'aer:.*fatal\|AER.*Uncorrected'))); }
wait_for 10 told
pause 1
must wait_for $dead_bound over
seconds=$(seconds_since "$start")
state=$(ctrl_state)
row "AER: fatal, at the port" "$(ended && echo error || echo 'no error')" "$seconds" "$state"
kill -INT $fio_job 2>/dev/null
wait_gone $patience kill -0 $fio_job
[[ ! -e /sys/bus/pci/devices/$bdf ]] || echo 1 >"/sys/bus/pci/devices/$bdf/remove"
echo 1 >/sys/bus/pci/rescan
wait_for 20 test -b /dev/$disk
expect_noise $disk 100
verify $disk --bs=4k --size=1m --iodepth=16 --offset=16m
stop_driver
