# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The driver: loading it, binding a controller to it, the disk.

# Load and unload the driver.
load() {
    insmod /rnvme.ko "$@" || die "insmod rnvme.ko $* failed"
}

unload() {
    remove_module rmmod rnvme || die "rmmod rnvme failed"
}

# Remove a module by `rmmod MODULE` or `modprobe -r MODULE`. The kernel may have one of its disks
# open for a moment, to look for partitions; and busybox's timeout leaves a process for a second
# that keeps the files open which it was started with.
remove_module() { # COMMAND...
    local until=$((SECONDS + 20)) users
    until users=$(</sys/module/"${*: -1}"/refcnt) && ((users == 0)) && "$@" 2>/dev/null; do
        ((SECONDS < until)) || {
            "$@"
            return
        }
        # The kernel gives the module back before it has released the disk.
        sleep 0.5
    done
}

# Load the driver and wait for the first disk.
# shellcheck disable=SC2120 # parameters are optional
load_disk() { # PARAMETER...
    load "$@"
    wait_for 20 test -b /dev/rnvme0n1
}

# The PCI address of a controller ("rnvme0") or a disk ("rnvme0n1").
pci_of() { # NAME
    local path
    path=$(readlink -f "/sys/class/rnvme/${1%n[0-9]*}/device") || die "expected the device of $1 in /sys/class/rnvme"
    echo "${path##*/}"
}

# The first disk of the controller at a PCI address, if there is one.
disk_at() { # BDF
    local path
    for path in "/sys/bus/pci/devices/$1"/rnvme/rnvme*/rnvme*n1; do
        [[ -e $path/dev ]] || return 1
        echo "${path##*/}"
    done
}

# Load the driver without binding, so that a controller can be prepared first.
load_unbound() { # PARAMETER...
    local path
    load "$@"
    for path in /sys/bus/pci/drivers/rnvme/0000:*; do
        bdf=${path##*/}
    done
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "unbinding $bdf failed"
}

# Bind $bdf. The bind must end within so many seconds; returns whether it succeeded.
try_bind() { # SECONDS WHAT
    local start=$SECONDS status=0
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind 2>/dev/null || status=1
    ((SECONDS - start <= $1)) || die "$2: expected bind within $1 s, it took $((SECONDS - start)) s"
    return $status
}

# Unbind $bdf. The unbind must end within so many seconds and leave no class device.
try_unbind() { # SECONDS WHAT
    local start=$SECONDS
    [[ ! -e /sys/bus/pci/devices/$bdf/driver ]] ||
        echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "$2: unbinding $bdf failed"
    ((SECONDS - start <= $1)) || die "$2: expected unbind within $1 s, it took $((SECONDS - start)) s"
    [[ ! -e /sys/class/rnvme/rnvme0 ]] || die "$2: expected no rnvme0 after unbind"
}

# Whether the bind made a disk; waits for its device node.
wait_disk() {
    [[ -e /sys/class/rnvme/rnvme0/rnvme0n1 ]] || return 1
    wait_for 2 test -b /dev/rnvme0n1
}

# Read from the disk. The read must end within so many seconds; returns whether it succeeded.
may_read() { # SECONDS
    local status=0
    timeout -k 1 "$1" dd if=/dev/rnvme0n1 of=/dev/null bs=64k count=1 iflag=direct \
        status=none 2>/dev/null || status=$?
    ((status != 124 && status != 137)) || die "expected a read to end within $1 s: $(hostile state)"
    return $status
}

# Bind a device again and wait for its disk.
bind_again() { # BDF DISK
    echo "$1" >/sys/bus/pci/drivers/rnvme/bind || die "binding $1 failed"
    wait_for 20 test -b "/dev/$2"
}

# Bind a device again without MSI-X and MSI, so that the driver uses the pin's interrupt.
# Fails, with the device unbound, if the kernel cannot disable MSI-X and MSI.  QEMU's controller
# keeps the pin's level up for good after a reset at once (see the machine `bookless`).
bind_to_pin() { # BDF DISK
    [[ $(whole_log) != *"resetting the controller"* ]] || die "the pin's tests need a boot without resets"
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind
    echo 0 >"/sys/bus/pci/devices/$1/msi_bus" || return 1
    bind_again "$1" "$2"
}

# Unbind a device and allow MSI-X and MSI again.
unbind_from_pin() { # BDF
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind
    echo 1 >"/sys/bus/pci/devices/$1/msi_bus"
}
