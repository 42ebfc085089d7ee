# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the guest tests: `. /tests/guest/lib.sh`.

set -u

# End the test as failed, or as not possible here.
die() {
    echo "$*"
    exit 1
}

skip() {
    echo "$*"
    exit 4
}

# Ask something of the host and print its answer; the status says whether it
# worked.  Requests:
#   host qmp '{"execute":"device_del","arguments":{"id":"nv0"}}'
#   host trace-on PATTERN, host trace-off PATTERN   QEMU's trace events
#   host trace-count PATTERN                        hits since the test began
#   host sleep SECONDS                              of the host's clock
host() {
    local status text
    {
        flock 9
        # Straight to the port: the test's own output may go elsewhere.
        echo "@host $*" >/dev/ttyS1
        read -r status text </dev/ttyS1
    } 9>/run/host.lock
    printf '%b\n' "$text"
    return "$status"
}

# Load and unload the driver.
load() {
    insmod /rnvme.ko "$@" || die "insmod rnvme.ko $* failed"
}

unload() {
    rmmod rnvme || die "rmmod rnvme failed"
}

# Wait until a command is true, at most so many seconds.
wait_for() { # SECONDS COMMAND...
    local until=$((SECONDS + $1 + 1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || die "not within the time: $*"
        sleep 0.1
    done
}
