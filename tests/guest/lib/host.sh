# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Requests to the host, and waiting.

# Starting a program takes a tenth of a second on the debug kernel, so the shell itself
# does what tests do often, with two pipes. Nothing writes to the first: a read from it
# with a timeout is a sleep. The second holds one line, the token for a request to the host.
mkfifo /tmp/silence.$$ /tmp/turn.$$
exec 7<>/tmp/silence.$$ 8<>/tmp/turn.$$
echo >&8

# Wait for so many seconds; fractions are allowed.
pause() {
    read -r -t "$1" -u 7 || true
}

# Send a request to the host and print its answer; returns whether it succeeded.
# Requests:
#   host qmp '{"execute":"device_del","arguments":{"id":"nv0"}}'
#   host trace-on PATTERN, host trace-off PATTERN   QEMU's trace events; off, when the
#                                                   test has ended
#   host trace-count PATTERN                        hits since the test began
#   host trace-log PATTERN                          the lines of these hits
#   host sleep SECONDS                              of the host's clock
#   host keep NAME TEXT, host kept NAME             text that survives `host again`
#   host again                                      kill QEMU at once, boot another
#                    one with the same disks, and run this test again from the start
#   host wake s3     wake the guest once it sleeps; the answer comes at once
#   host wake s2idle press the power button as long as the guest says nothing; `host wake`
#                    ends that
#   host off         the guest is about to power itself off: boot it again and run this
#                    test again from the start; no answer comes. `host kept off` is the
#                    seconds it took, `host kept log` the end of its kernel log
#   host hibernate   the guest is about to power off with its image on a disk: boot it
#                    again and start /jobs/resume; no answer comes
#   host hostile REQUEST                            of tests/hostile/server.py
host() {
    local status text
    read -r -u 8
    # To the port itself: the test's output may be redirected.
    echo "@host $*" >/dev/hvc0
    read -r status text </dev/hvc0
    echo >&8
    printf '%b\n' "$text"
    return "$status"
}

# Run one QMP command, which must succeed.
qmp() { # COMMAND [ARGUMENTS-AS-JSON]
    local answer
    answer=$(host qmp "{\"execute\":\"$1\",\"arguments\":${2:-{\}}}") || die "QMP $*: $answer"
    echo "$answer"
}

# Wait until a command succeeds, at most so many seconds.
wait_for() { # SECONDS COMMAND...
    local until=$((SECONDS + $1 + 1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || die "timed out waiting until this succeeds: $*"
        pause 0.1
    done
}

# Wait until a command fails, at most so many seconds.
wait_gone() { # SECONDS COMMAND...
    local until=$((SECONDS + $1 + 1))
    shift
    while "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || die "timed out waiting until this fails: $*"
        pause 0.1
    done
}

# Print the 16 dwords of the command that the first doorbell after so many in the trace
# announced, from the ring in the guest's memory. Both events must be traced,
# pci_nvme_create_sq while the driver is being loaded.
command_after() { # NUMBER-OF-DOORBELLS-BEFORE
    local line sq tail addr size
    line=$(host trace-log pci_nvme_mmio_doorbell_sq | sed -n "$(($1 + 1))p")
    [[ $line =~ sqid\ ([0-9]+)\ new_tail\ ([0-9]+) ]] || die "expected a doorbell after $1 in the trace, saw '$line'"
    sq=${BASH_REMATCH[1]} tail=${BASH_REMATCH[2]}
    line=$(host trace-log pci_nvme_create_sq | grep "sqid=$sq,")
    [[ $line =~ addr=(0x[0-9a-f]+).*qsize=([0-9]+) ]] || die "expected the creation of queue $sq in the trace, saw '$line'"
    addr=${BASH_REMATCH[1]} size=$((BASH_REMATCH[2] + 1))
    addr=$(printf '0x%x' $((addr + (tail + size - 1) % size * 64)))
    qmp human-monitor-command "{\"command-line\":\"xp /16wx $addr\"}" | tr -d '"\r\n' |
        sed 's/\\[rn]/ /g; s/[0-9a-f]*://g'
}
