#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Shared by the scripts of this folder: paths, progress and error messages, locks, and
# running commands in the build root.  To be sourced.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RNVME_CACHE=${RNVME_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rnvme}
# Elapsed times count from the first script of a chain of calls.
RNVME_T0=${RNVME_T0:-$EPOCHSECONDS}
export RNVME_CACHE RNVME_T0

# shellcheck disable=SC2034 # used by the scripts that source this
ROOT=$RNVME_CACHE/root
LINUX=$RNVME_CACHE/linux
LOGS=$RNVME_CACHE/logs

log() {
    printf '[%4ds] %s\n' $((EPOCHSECONDS - RNVME_T0)) "$*" >&2
}

die() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# A short hash of the arguments: the key of a product that is made from them.
hash_of() {
    printf '%s\n' "$@" | sha256sum | cut -c1-16
}

# A complete product holds the key that it was made with.
is_current() { # DIR KEY
    [[ -f $1/.key && $(<"$1/.key") == "$2" ]]
}

mark_current() { # DIR KEY
    printf '%s\n' "$2" >"$1/.key.tmp"
    mv "$1/.key.tmp" "$1/.key"
}

# Hold a lock until this shell and all its children have ended, so that two calls, or a
# call and the orphans of a killed one, do not work on the same product.
lock() { # NAME
    local fd
    mkdir -p "$RNVME_CACHE/locks"
    exec {fd}>"$RNVME_CACHE/locks/$1"
    if ! flock -n "$fd"; then
        log "waiting for another call that is working on: $1"
        flock "$fd"
    fi
}

# Print the last line of a step's log every 15 s.
heartbeat() { # TITLE LOGFILE
    local start=$EPOCHSECONDS parent=$$ never
    # A pipe without a writer: a sleep without a process that could outlive this one.
    exec {never}<> <(:)
    while ! read -r -t 15 -u "$never" && kill -0 "$parent" 2>/dev/null; do
        log "  $1: $((EPOCHSECONDS - start)) s, $(tail -n 1 "$2" | tr -d '\r' | cut -c1-90)"
    done
}

# Run a command with its output in a log file.  Must not be called as a condition: bash
# would ignore `set -e` in the command.
step() { # TITLE COMMAND...
    local title=$1 logfile start=$EPOCHSECONDS rc beat
    shift
    mkdir -p "$LOGS"
    logfile=$LOGS/$(tr -cs 'A-Za-z0-9.\n' - <<<"$title").log
    log "$title"
    : >"$logfile"
    heartbeat "$title" "$logfile" &
    beat=$!
    set +e
    (
        set -e
        "$@"
    ) >"$logfile" 2>&1 </dev/null
    rc=$?
    set -e
    kill "$beat" 2>/dev/null || true
    wait "$beat" 2>/dev/null || true
    if ((rc != 0)); then
        tail -n 12 "$logfile" | sed 's/^/    /' >&2
        die "failed: $title (the whole log: $logfile)"
    fi
    log "  done: $title, $((EPOCHSECONDS - start)) s"
}

# Run a command in the build root.
in_root() {
    "$TOP/scripts/root" "$@"
}

# `make` of a configured kernel tree, with the same options each time.
kernel_make() { # stock|debug|inline ARGUMENTS...
    local kind=$1
    shift
    local -a opts=(-C "/cache/linux/$kind")
    case $kind in
    stock) opts+=("LOCALVERSION=$(<"$LINUX/localversion")") ;;
    debug | inline) opts+=(LLVM=1) ;;
    esac
    in_root make -j"$(nproc)" "${opts[@]}" "$@"
}
