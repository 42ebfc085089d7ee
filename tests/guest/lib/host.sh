# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the host does for a test, and waiting.

# On the debug kernel every program that a test starts takes a tenth of a second, so
# what tests do often is done by the shell itself, with two pipes that it holds: what
# is never written to is good to wait on, and who has the only line of the other may
# ask the host.
mkfifo /tmp/silence.$$ /tmp/turn.$$
exec 7<>/tmp/silence.$$ 8<>/tmp/turn.$$
echo >&8

# Wait for so many seconds, or parts of them.
pause() {
    read -r -t "$1" -u 7 || true
}

# Ask something of the host and print its answer; the status says whether it
# worked.  Requests:
#   host qmp '{"execute":"device_del","arguments":{"id":"nv0"}}'
#   host trace-on PATTERN, host trace-off PATTERN   QEMU's trace events; off, when the
#                                                   test has ended
#   host trace-count PATTERN                        hits since the test began
#   host trace-log PATTERN                          the lines of these hits
#   host sleep SECONDS                              of the host's clock
#   host keep NAME TEXT, host kept NAME             for after a kill
#   host again                                      kill QEMU at once, boot another
#                    one with the same disks, and run this test again from the start
#   host hostile REQUEST                            tests/hostile/server.py has them
host() {
    local status text
    read -r -u 8
    # Straight to the port: the test's own output may go elsewhere.
    echo "@host $*" >/dev/hvc0
    read -r status text </dev/hvc0
    echo >&8
    printf '%b\n' "$text"
    return "$status"
}

# One QMP command that must work.
qmp() { # COMMAND [ARGUMENTS-AS-JSON]
    local answer
    answer=$(host qmp "{\"execute\":\"$1\",\"arguments\":${2:-{\}}}") || die "QMP $*: $answer"
    echo "$answer"
}

# Wait until a command is true, at most so many seconds.
wait_for() { # SECONDS COMMAND...
    local until=$((SECONDS + $1 + 1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || die "not within the time: $*"
        pause 0.1
    done
}

# Wait until a command is false, at most so many seconds.
wait_gone() { # SECONDS COMMAND...
    local until=$((SECONDS + $1 + 1))
    shift
    while "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || die "still so after the time: $*"
        pause 0.1
    done
}

# The command that the first doorbell after so many in the trace told of, from
# the ring in the guest's memory: its 16 dwords.  Both events must have been
# traced: pci_nvme_create_sq while the driver was loaded.
command_after() { # NUMBER-OF-DOORBELLS-BEFORE
    local line sq tail addr size
    line=$(host trace-log pci_nvme_mmio_doorbell_sq | sed -n "$(($1 + 1))p")
    [[ $line =~ sqid\ ([0-9]+)\ new_tail\ ([0-9]+) ]] || die "no doorbell: $line"
    sq=${BASH_REMATCH[1]} tail=${BASH_REMATCH[2]}
    line=$(host trace-log pci_nvme_create_sq | grep "sqid=$sq,")
    [[ $line =~ addr=(0x[0-9a-f]+).*qsize=([0-9]+) ]] || die "no such queue: $line"
    addr=${BASH_REMATCH[1]} size=$((BASH_REMATCH[2] + 1))
    addr=$(printf '0x%x' $((addr + (tail + size - 1) % size * 64)))
    qmp human-monitor-command "{\"command-line\":\"xp /16wx $addr\"}" | tr -d '"\r\n' |
        sed 's/\\[rn]/ /g; s/[0-9a-f]*://g'
}
