# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The driver: loading it, binding a controller to it, the disk.

# Load and unload the driver.
load() {
    insmod /rnvme.ko "$@" || die "insmod rnvme.ko $* failed"
}

unload() {
    rmmod rnvme || die "rmmod rnvme failed"
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
    path=$(readlink -f "/sys/class/rnvme/${1%n[0-9]*}/device") || die "there is no $1"
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
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "it cannot be unbound"
}

# Bind $bdf, which must be decided within so many seconds; whether it worked.
try_bind() { # SECONDS WHAT
    local start=$SECONDS status=0
    echo "$bdf" >/sys/bus/pci/drivers/rnvme/bind 2>/dev/null || status=1
    ((SECONDS - start <= $1)) || die "$2: bind took $((SECONDS - start)) s"
    return $status
}

# Unbind $bdf, within so many seconds; nothing of it may stay.
try_unbind() { # SECONDS WHAT
    local start=$SECONDS
    [[ ! -e /sys/bus/pci/devices/$bdf/driver ]] ||
        echo "$bdf" >/sys/bus/pci/drivers/rnvme/unbind || die "$2: it cannot be unbound"
    ((SECONDS - start <= $1)) || die "$2: unbind took $((SECONDS - start)) s"
    [[ ! -e /sys/class/rnvme/rnvme0 ]] || die "$2: rnvme0 stays"
}

# Whether the disk is there, which it is soon after bind or never.
wait_disk() {
    [[ -e /sys/class/rnvme/rnvme0/rnvme0n1 ]] || return 1
    wait_for 2 test -b /dev/rnvme0n1
}

# A read of the disk ends within so many seconds; whether it worked.
may_read() { # SECONDS
    local status=0
    timeout -k 1 "$1" dd if=/dev/rnvme0n1 of=/dev/null bs=64k count=1 iflag=direct \
        status=none 2>/dev/null || status=$?
    ((status != 124 && status != 137)) || die "a read does not end: $(hostile state)"
    return $status
}

# It gets the driver again, and the disk is back.
bind_again() { # BDF DISK
    echo "$1" >/sys/bus/pci/drivers/rnvme/bind || die "$1 cannot be bound"
    wait_for 20 test -b "/dev/$2"
}

# Bind the device anew without MSI-X and MSI, as if it had none: it has the pin's
# interrupt.  Fails, with the device unbound, where the kernel cannot take them.
bind_to_pin() { # BDF DISK
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind
    echo 0 >"/sys/bus/pci/devices/$1/msi_bus" || return 1
    bind_again "$1" "$2"
}

# Unbind it, and give it its messages back.
unbind_from_pin() { # BDF
    echo "$1" >/sys/bus/pci/drivers/rnvme/unbind
    echo 1 >"/sys/bus/pci/devices/$1/msi_bus"
}
