// SPDX-License-Identifier: GPL-2.0

//! Every time and bound of the driver, and what they add up to: [`recovery_bound_ms`].
//!
//! docs/BOUNDS.md shows this list, made from this file; the guest tests assert the bound that
//! the driver states in sysfs (`recovery_bound_ms`).

use kernel::{
    prelude::*,
    time::Delta, //
};

/// Between two reads of a register that is waited for.
pub(crate) const POLL_INTERVAL: Delta = Delta::from_millis(1);

/// Between two runs of the watchdog.
pub(crate) const WATCHDOG_MS: u32 = 1000;

/// Between two looks at the pages of PRP lists: a page that no request needed goes with the second
/// or third look.
pub(crate) const TRIM_MS: u32 = 10_000;

/// Between two looks at the completion queue by a thread that waits for an admin command.
///
/// TIMEOUT: most commands complete before the first look; the second finds a completion whose
/// interrupt was lost.
pub(crate) const WAIT_LOOK_MS: u32 = 200;

/// The same in a bring-up, whose commands have a deadline together: a controller that sends no
/// interrupt takes two looks for each.
pub(crate) const BRING_UP_LOOK_MS: u32 = 100;

/// How late the block layer's timer may find a request whose timeout is over: it runs once a second.
pub(crate) const BLOCK_TIMER_MS: u32 = 1000;

/// Until a command that was aborted times out a second time.
///
/// TIMEOUT: an Abort that works does so at once, and its submitter has waited for `io_timeout`. Not
/// a number of seconds: parameters are, so this value marks a command that had its grace. A disk
/// whose own timeout is as long gets one jiffy more.
pub(crate) const ABORT_GRACE_MS: u32 = 1990;

/// Until the host has done its part of a bring-up, after the end that its admin commands have: it
/// allocates vectors and memory.
///
/// TIMEOUT: that takes milliseconds, unless I/O on this disk waits for it in turn.
pub(crate) const HOST_MS: u32 = 5000;

/// Until a controller is ready that states more in CRTO (which can say nine hours).
pub(crate) const LONGEST_READY_MS: u32 = 300_000;

/// Until the registers of a device at probe do not read as all ones any more.
///
/// TIMEOUT: a second after a reset a function may still ask for retries (PCIe 5.0, 6.6.1).
pub(crate) const ANSWER_MS: u32 = 1000;

/// What a bring-up may take beyond CAP.TO (or CRTO) until CSTS.RDY has changed twice.
///
/// TIMEOUT: CAP.TO bounds each change of CSTS.RDY (Base 3.1.3.1). A bring-up grants it once for both.
pub(crate) const RESET_MARGIN_MS: u32 = 1000;

/// How long CSTS.CFS may still say what it said before CC.EN = 1.
pub(crate) const FATAL_SETTLES_MS: u32 = 100;

/// Until CSTS.RDY changes when the time of the bring-up is already over.
pub(crate) const LAST_CHANCE_MS: u32 = 50;

/// Until the admin commands of a bring-up have completed, [`COMMAND_MARGIN_MS`] for each of them
/// aside. One of them may use it up.
///
/// TIMEOUT: all I/O waits for it. Drives that collect garbage or rebuild their tables after a power
/// loss take seconds for one Identify.
pub(crate) const COMMANDS_MS: u32 = 5000;

/// What each admin command of a bring-up adds to [`COMMANDS_MS`].
pub(crate) const COMMAND_MARGIN_MS: u32 = 20;

/// Until the PCI function is back from the reset that follows a failed bring-up.
///
/// TIMEOUT: 0.1 s after the reset, and a second more where the function asks for retries (PCIe 5.0,
/// 6.6.2 and 2.3.1), and 0.2 s for the registers of the bridge above.
pub(crate) const FUNCTION_RESET_MS: u32 = 1300;

/// After which a device that does not answer is gone, unless PCI core says so before.
///
/// TIMEOUT: 0.1 s and a second more after a reset of the link (PCIe 5.0, 6.6.1 and 2.3.1), and 0.4 s
/// for the link.
pub(crate) const ABSENCE_MS: u32 = 1500;

/// Between two looks at a device that does not answer.
pub(crate) const ABSENCE_LOOK_MS: u32 = 100;

/// Between two resets of the PCI function of a dead controller.
pub(crate) const FUNCTION_RESET_INTERVAL_MS: u32 = 600_000;

/// Until a dead controller is tried again for the first time.
pub(crate) const FIRST_RETRY_MS: u32 = 10_000;

/// Between the first try of a dead controller and the second.
pub(crate) const SECOND_RETRY_MS: u32 = 30_000;

/// Between later tries of a dead controller.
pub(crate) const RETRY_MS: u32 = 60_000;

/// Until the controller has deleted its I/O queues, all of them together, before an orderly stop.
///
/// TIMEOUT: the controller has no I/O command then, so it has nothing to wait for. What it has not
/// deleted goes when it is disabled.
pub(crate) const DELETE_MS: u32 = 1000;

/// Until all I/O that has begun has ended before a pause (sleep, function reset, shutdown); and until
/// a scan has read the partition table that it reads, before an unbind.
///
/// TIMEOUT: a third of what Linux grants by default. If it does not suffice, the system stays awake;
/// a function reset keeps the rest for afterwards; at shutdown the rest fails; the disk whose table
/// is read fails.
pub(crate) const DRAIN_MS: u32 = 10_000;

/// Until probe waits no longer for the first scan, in which partition tables are read.
///
/// TIMEOUT: the default of `io_timeout`. The scan goes on, and unbind ends it.
pub(crate) const FIRST_SCAN_MS: u32 = 30_000;

/// Until CSTS.SHST reports a complete shutdown, where the controller states nothing (RTD3E):
/// Linux's default.
pub(crate) const SHUTDOWN_MS: u32 = 5000;

/// Until CSTS.SHST reports a complete shutdown, whatever the controller states.
pub(crate) const LONGEST_SHUTDOWN_MS: u32 = 60_000;

/// Until processing goes on (CSTS.PP) after firmware activation began, where the controller states
/// nothing (MTFA).
///
/// TIMEOUT: the default of `admin_timeout`.
pub(crate) const ACTIVATION_MS: u32 = 60_000;

/// Until processing goes on (CSTS.PP), whatever the controller states (two hours at most): I/O
/// waits.
pub(crate) const LONGEST_ACTIVATION_MS: u32 = 300_000;

/// Until the next asynchronous event is handled after a burst that used up the log budget.
pub(crate) const EVENT_PAUSE_MS: u32 = 1000;

/// Until a request is submitted again that waits for the end of another.
pub(crate) const BUSY_RETRY_MS: u32 = 1;

/// The longest delay that a controller is granted between two tries of a command (CRDT can say two
/// hours): the submitter waits.
pub(crate) const LONGEST_RETRY_DELAY_MS: u32 = 60_000;

/// The shortest pause before a command is tried again on a namespace that is not ready.
pub(crate) const SHORTEST_READY_PAUSE_MS: u32 = 10;

/// The longest pause before a command is tried again on a namespace that is not ready.
pub(crate) const LONGEST_READY_PAUSE_MS: u32 = 500;

/// After which a namespace that was not ready, and was not found so since, is waited for again:
/// as long as CAP.TO (or CRTO).
pub(crate) const NOT_READY_FORGOTTEN_MS: u32 = 10_000;

/// The shortest time until the next look at a namespace that was not ready for as long as CAP.TO
/// (or CRTO).
pub(crate) const SHORTEST_READY_LOOK_MS: u32 = 5000;

/// The longest time until the next look at such a namespace: each takes two commands a namespace,
/// or a try to read its partition table.
pub(crate) const LONGEST_READY_LOOK_MS: u32 = 600_000;

/// In which [`super::LogBudget`] counts its lines.
pub(crate) const LOG_INTERVAL: Delta = Delta::from_secs(5);

/// In which the log has a few events of each type; and between two looks at the SMART log of a
/// controller with a critical warning.
///
/// TIMEOUT: a temperature rises and falls in minutes.
pub(crate) const REPORT_INTERVAL_MS: u32 = 60_000;

/// In which three persistent internal errors that the controller reports reset it; more do not.
pub(crate) const FAULT_INTERVAL_MS: u32 = 600_000;

/// The longest pause between two Asynchronous Event Requests that the controller fails: the pauses
/// double, from [`WATCHDOG_MS`] on.
pub(crate) const LONGEST_EVENT_PAUSE_MS: u32 = 64_000;

/// The pause after the `failures`th failure in a row of an Asynchronous Event Request.
pub(crate) const fn event_pause_ms(failures: u32) -> u32 {
    // Until the pause is the longest.
    let doublings = if failures < 7 { failures } else { 7 };
    let pause = (WATCHDOG_MS / 2) << doublings;
    if pause < LONGEST_EVENT_PAUSE_MS {
        pause
    } else {
        LONGEST_EVENT_PAUSE_MS
    }
}

/// The longest that I/O waits for a controller that never completes a command, from its submission
/// to the retry or the error, in milliseconds.
///
/// `io_timeout_ms` is the timeout of the command, `ready_ms` what CAP.TO or CRTO states, `commands`
/// the number of admin commands of a bring-up. The sum is: the command times out, is aborted, times
/// out again; the controller is brought up, its admin commands take all their time; its PCI function
/// is reset; it is brought up a second time. A controller that does not stop then has its last
/// chance: for the cancelled command of each bring-up, and for the failed reset.
///
/// Not covered: a command that is lost again after each reset, a delay that the controller asks for
/// (CRD), paused processing (CSTS.PP), and a disk whose own `queue/io_timeout` differs.
pub(crate) const fn recovery_bound_ms(io_timeout_ms: u32, ready_ms: u32, commands: u32) -> u64 {
    let abort = BLOCK_TIMER_MS + ABORT_GRACE_MS + BLOCK_TIMER_MS;
    // CAST: u32 to u64 widens; u64::from is no const fn.
    let bring_up = ready_ms as u64 + RESET_MARGIN_MS as u64 + commands_ms(commands);
    let rest = abort + FUNCTION_RESET_MS + 3 * LAST_CHANCE_MS;
    io_timeout_ms as u64 + rest as u64 + 2 * bring_up
}

/// How long the `commands` admin commands of a bring-up may take together, in milliseconds.
pub(crate) const fn commands_ms(commands: u32) -> u64 {
    // CAST: as above.
    COMMANDS_MS as u64 + commands as u64 * COMMAND_MARGIN_MS as u64
}

/// How long a dead controller is left alone after `failed` tries, in milliseconds.
pub(crate) const fn retry_delay_ms(failed: u32) -> u32 {
    match failed {
        0 => FIRST_RETRY_MS,
        1 => SECOND_RETRY_MS,
        _ => RETRY_MS,
    }
}

/// How long a controller that states `stated_ms` may take to become ready, in milliseconds.
pub(crate) const fn granted_ready_ms(stated_ms: u32) -> u32 {
    if stated_ms < LONGEST_READY_MS {
        stated_ms
    } else {
        LONGEST_READY_MS
    }
}

/// `ms` milliseconds.
pub(crate) fn millis(ms: u32) -> Delta {
    Delta::from_millis(ms.into())
}

#[kunit_tests(rnvme_timing)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_sum_of_its_waits() {
        // Milliseconds of io_timeout and of CAP.TO, admin commands of a reset, milliseconds.
        for (io_timeout, ready, commands, bound) in [
            (0, 0, 0, 17_440),
            (2000, 2000, 13, 23_960),
            (30_000, 7500, 11, 62_880),
            (
                u32::MAX,
                u32::MAX,
                u32::MAX,
                43 * u64::from(u32::MAX) + 17_440,
            ),
        ] {
            assert_eq!(recovery_bound_ms(io_timeout, ready, commands), bound);
        }
    }

    #[test]
    fn a_controller_gets_what_it_states_but_five_minutes_at_most() {
        for (stated, granted) in [(0, 0), (500, 500), (299_500, 299_500), (300_500, 300_000)] {
            assert_eq!(granted_ready_ms(stated), granted);
        }
    }

    #[test]
    fn no_part_is_longer_than_what_it_is_part_of() {
        assert!(LAST_CHANCE_MS < RESET_MARGIN_MS);
        // The watchdog sees within its interval that the function does not come back: in the time of
        // the second bring-up.
        assert!(WATCHDOG_MS < COMMANDS_MS);
        assert!(BRING_UP_LOOK_MS < WAIT_LOOK_MS && WAIT_LOOK_MS < COMMANDS_MS);
        assert!(FIRST_RETRY_MS < SECOND_RETRY_MS && SECOND_RETRY_MS < RETRY_MS);
        assert!(RETRY_MS < FUNCTION_RESET_INTERVAL_MS);
        assert!(SHUTDOWN_MS < LONGEST_SHUTDOWN_MS);
        assert!(ACTIVATION_MS < LONGEST_ACTIVATION_MS);
    }

    #[test]
    fn the_bound_of_a_small_controller() {
        // Four I/O queues and a disk: io_timeout + 2 x CAP.TO + 18 s, with its last chances. A
        // controller that is brought up within 5 s is back within io_timeout + 10 s.
        let stated = recovery_bound_ms(30_000, 2000, 8 + 2 * 2 + 1);
        assert!(stated <= 30_000 + 2 * 2000 + 18_000);
        assert!(2 * BLOCK_TIMER_MS + ABORT_GRACE_MS + 5000 + LAST_CHANCE_MS <= 10_000);
    }

    #[test]
    fn pauses_between_event_requests_grow() {
        for (failures, pause) in [
            (1, 1000),
            (2, 2000),
            (6, 32_000),
            (7, 64_000),
            (8, 64_000),
            (u32::MAX, 64_000),
        ] {
            assert_eq!(event_pause_ms(failures), pause);
        }
    }

    #[test]
    fn the_grace_is_no_parameter() {
        assert!(ABORT_GRACE_MS % 1000 != 0);
    }
}
