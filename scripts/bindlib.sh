# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The driver of a PCI device, whether the system uses its disks, and moving it to another
# driver.  To be sourced by a script that has a function `die`; needs only bash and
# coreutils.  With `blockdev` (util-linux) it also finds users without a trace in sysfs.

shopt -s nullglob

PCI=/sys/bus/pci

# The address of an NVMe controller as in sysfs; refuses any other device.
controller() { # BDF
    local bdf=$1
    [[ $bdf == *:*:* ]] || bdf=0000:$bdf
    [[ $bdf =~ ^[0-9a-fA-F]{4,}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$ ]] ||
        die "$1 is no PCI address as lspci -D shows it (0000:01:00.0)"
    [[ -d $PCI/devices/$bdf ]] || die "there is no PCI device $bdf"
    [[ $(<"$PCI/devices/$bdf/class") == 0x010802 ]] ||
        die "$bdf is no NVMe controller (class $(<"$PCI/devices/$bdf/class"))"
    echo "$bdf"
}

# The block devices of a PCI device, as folders of sysfs.  With native NVMe multipath the
# disks belong to a subsystem, not to the controller.
disks_of() { # BDF
    local disk path head
    for disk in /sys/block/*; do
        path=$(readlink -f "$disk")
        [[ $path != */"$1"/* ]] || echo "$path"
    done
    for path in "$PCI/devices/$1"/nvme/nvme*; do
        for head in /sys/class/nvme-subsystem/*/"${path##*/}"/..; do
            for disk in "${head%/*/..}"/nvme*n*; do
                [[ ! -e $disk/dev ]] || readlink -f "$disk"
            done
        done
    done
}

# The number and the name of each mounted device, in any mount namespace.
mounted() {
    local number rest line
    # A process may end while this reads; its error is ignored.
    { cat /proc/[0-9]*/mountinfo 2>/dev/null || true; } | sort -u | while read -r _ _ number line; do
        echo "$number"
        # "... - type source options"
        rest=${line#* - }
        rest=${rest#* }
        [[ $rest != /* ]] || readlink -f "${rest%% *}" || true
    done
}

swaps() {
    local name
    while read -r name _; do
        [[ $name != /* ]] || readlink -f "$name" || true
    done </proc/swaps
}

# The devices of root= and resume= on the kernel's command line.
booted() {
    local word value
    for word in $(</proc/cmdline); do
        case $word in
        root=* | resume=*) value=${word#*=} ;;
        *) continue ;;
        esac
        case $value in
        /dev/*) ;;
        UUID=*) value=/dev/disk/by-uuid/${value#*=} ;;
        LABEL=*) value=/dev/disk/by-label/${value#*=} ;;
        PARTUUID=*) value=/dev/disk/by-partuuid/${value#*=} ;;
        PARTLABEL=*) value=/dev/disk/by-partlabel/${value#*=} ;;
        *) continue ;;
        esac
        [[ ! -e $value ]] || readlink -f "$value"
    done
}

# The block devices that programs have open. A program may end while this reads.
opened() {
    local file
    for file in /proc/[0-9]*/fd/*; do
        [[ ! -b $file ]] || readlink "$file" || true
    done
}

# The names of the block devices below FOLDER/holders: LVM, dm-crypt, md.
holders_of() { # FOLDER
    local holder
    for holder in "$1"/holders/*; do
        echo "${holder##*/}$([[ ! -r $holder/dm/name ]] || echo " ($(<"$holder/dm/name"))")"
    done
}

# The file system of several devices that the block device of this folder is of. Only one of these
# devices is in the table of mounts.
member_of() { # FOLDER
    local link
    for link in /sys/fs/btrfs/*/devices/* /sys/fs/bcachefs/*/dev-*/block; do
        if [[ $(readlink -f "$link") == "$1" ]]; then
            link=${link#/sys/fs/}
            echo "${link%%/*}, file system $(cut -d / -f 2 <<<"$link")"
        fi
    done
}

# Each device of a ZFS pool, and the pool.
pooled() {
    local word rest pool=
    command -v zpool >/dev/null || return 0
    { zpool status -LP 2>/dev/null || true; } | while read -r word rest; do
        case $word in
        pool:) pool=$rest ;;
        /dev/*) echo "$(readlink -f "$word") $pool" ;;
        esac
    done
}

# Whether the kernel itself holds a disk or a partition of it: a pool, a journal, a cache. Then it does
# not read the partition table again.
is_held() { # DISK
    local said
    said=$(LC_ALL=C blockdev --rereadpt "$1" 2>&1) || [[ $said != *busy* ]] || return 0
    return 1
}

# Refuse a device if the system uses one of its disks or partitions.
refuse_used() { # BDF
    local disk part name number user mounts swap boot open pools
    mounts=$(mounted | sort -u)
    swap=$(swaps)
    boot=$(booted)
    open=$(opened | sort -u)
    pools=$(pooled)
    while read -r disk; do
        for part in "$disk" "$disk"/*/; do
            part=${part%/}
            [[ -e $part/dev ]] || continue
            name=/dev/${part##*/}
            number=$(<"$part/dev")
            user=$(holders_of "$part" | paste -s -d , -)$(member_of "$part")
            if [[ -n $user ]]; then
                die "$1: $name is used by $user"
            fi
            user=$(grep -F -e "$name " <<<"$pools" || true)
            if [[ $user == "$name "* ]]; then
                die "$1: $name is used by the ZFS pool ${user#* }"
            fi
            if grep -q -x -F -e "$number" -e "$name" <<<"$mounts"; then
                die "$1: $name is mounted"
            fi
            if grep -q -x -F -e "$name" <<<"$swap"; then
                die "$1: $name is swap space"
            fi
            if grep -q -x -F -e "$name" <<<"$boot"; then
                die "$1: $name is on the kernel's command line (root= or resume=)"
            fi
            if grep -q -x -F -e "$name" <<<"$open"; then
                die "$1: $name is open in a program (fuser $name)"
            fi
        done
        if is_held "/dev/${disk##*/}"; then
            die "$1: /dev/${disk##*/} or a partition of it is used by the kernel: a pool, a journal or a cache"
        fi
    done < <(disks_of "$1")
}

driver_of() { # BDF
    local link=$PCI/devices/$1/driver
    [[ ! -e $link ]] || basename "$(readlink -f "$link")"
}

# Move a device to a driver; returns whether the driver took it.
give() { # BDF DRIVER
    local dev=$PCI/devices/$1
    echo "$2" >"$dev/driver_override"
    [[ ! -e $dev/driver ]] || echo "$1" >"$dev/driver/unbind"
    # The write fails if no driver takes the device; the last line checks that.
    echo "$1" >"$PCI/drivers_probe" 2>/dev/null || true
    [[ $dev/driver -ef $PCI/drivers/$2 ]]
}
