# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# How a test ends: failed or skipped; and its comparisons.

# End the test as failed (die) or as not possible here (skip).
die() {
    echo "$*"
    exit 1
}

skip() {
    echo "$*"
    exit 4
}

# Whether this is the debug kernel, on which each step takes several times as long. What compares
# numbers finds no more there: the stock kernel has all of it.
is_debug() {
    [[ -e /sys/kernel/debug/kmemleak ]]
}

# Two values must be equal, else the test fails; the message has both.
expect() { # WHAT EXPECTED SEEN
    [[ $2 == "$3" ]] || die "$1: expected '$2', saw '$3'"
}

# The same with a glob pattern.
expect_like() { # WHAT PATTERN SEEN
    # shellcheck disable=SC2053 # a pattern on purpose
    [[ $3 == $2 ]] || die "$1: expected something like '$2', saw '$3'"
}

# A command must fail; $failed_with is its output.
expect_failure() { # COMMAND...
    if failed_with=$("$@" 2>&1); then
        die "expected a failure, but this succeeded: $* ($failed_with)"
    fi
}
