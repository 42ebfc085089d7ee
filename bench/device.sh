#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The timed part of `make bench` on a drive of this machine:
#
#     bench/device.sh [--erase] BDF MODULE PLAN TOLD
#
# Gives the controller to rnvme and to nvme in turn, as the plan says, and always back to
# its former driver.  THIS WRITES TO THE DRIVE.  A drive that the system uses is refused;
# so is one with a partition table or a file system, without --erase.

set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

die() {
    printf 'bench: error: %s\n' "$*" >&2
    exit 1
}

# shellcheck source=scripts/bindlib.sh
. "$top/scripts/bindlib.sh"
# shellcheck source=bench/common.sh
. "$top/bench/common.sh"
# shellcheck disable=SC2034 # of common.sh
size=100%

# Take one sample, for the time in fio's options.
timed() { # NAME FIO-OPTION...
    local name=$1
    shift
    measured --mem=malloc "$@" >"$folder/fio.json"
    keep "$name" "$folder/fio.json"
}

refuse_contents() { # BDF
    local path found
    while read -r path; do
        found=$(wipefs --no-act --noheadings --output TYPE "/dev/${path##*/}" | tr '\n' ' ')
        [[ -z $found ]] || die "$1: /dev/${path##*/} has contents ($found); ERASE=1 permits losing them"
    done < <(disks_of "$1")
}

# Loading rnvme binds it to every controller without a driver: refuse if there are others.
refuse_others() {
    local path
    for path in "$PCI"/devices/*; do
        [[ $(<"$path/class") != 0x010802 || $path == "$dev" || -e $path/driver ]] ||
            [[ $(<"$path/driver_override") != "(null)" ]] ||
            die "${path##*/} has no driver, and rnvme would take it: echo none >$path/driver_override"
    done
}

# Restore the former state. Ignores signals.
give_back() {
    trap '' INT TERM HUP
    set +e
    exec 3>&-
    if [[ -z $from ]]; then
        release "$bdf"
    elif ! [[ $dev/driver -ef $PCI/drivers/$from ]]; then
        give "$bdf" "$from" || echo "bench: $from did not take $bdf back (see dmesg)" >&2
    fi
    echo "${override/#(null)/}" >"$dev/driver_override"
    # The kernel may have the disk open for a moment, to look for partitions.
    for _ in {1..20}; do
        [[ -e /sys/module/rnvme ]] || break
        ! rmmod rnvme 2>/dev/null || break
        sleep 0.5
    done
    [[ ! -e /sys/module/rnvme ]] || rmmod rnvme
    [[ ! -w $polling ]] || echo "$polls" >"$polling"
    rm -rf "$folder"
}

erase=0
if [[ ${1:-} == --erase ]]; then
    erase=1
    shift
fi
(($# == 4)) || die "usage: bench/device.sh [--erase] BDF MODULE PLAN TOLD"
bdf=$(controller "$1")
module=$2 plan=$3 told=$4
((EUID == 0)) || die "only root can do this"
refuse_used "$bdf"
((erase)) || refuse_contents "$bdf"
dev=$PCI/devices/$bdf
[[ ! -e /sys/module/rnvme ]] || die "rnvme is loaded: rmmod rnvme first (it must be loaded with a poll queue)"
[[ -e $PCI/drivers/nvme ]] || die "the kernel's nvme driver is not loaded: modprobe nvme"
refuse_others

from=$(driver_of "$bdf")
override=$(<"$dev/driver_override")
polling=/sys/module/nvme/parameters/poll_queues
polls=$(<"$polling")
folder=$(mktemp -d)
exec 3>"$told"
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap give_back EXIT
# nvme reads this parameter in its probe; rnvme gets its own when it is loaded.
echo 1 >"$polling"
insmod "$module" poll_queues=1 || die "insmod $module failed (see dmesg)"
# shellcheck source=/dev/null
. "$plan"
