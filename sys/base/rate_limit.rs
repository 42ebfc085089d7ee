// SPDX-License-Identifier: GPL-2.0

//! A budget of log lines that any context may use.

use crate::policy::{
    LogBudget,
    Missed, //
};
use kernel::{
    prelude::*,
    sync::{
        new_spinlock_irq,
        SpinLockIrq, //
    },
    time::Instant, //
};

/// One budget of log lines. Usable in any context.
#[pin_data]
pub(crate) struct RateLimit {
    /// LOCK: a budget of log lines; inside: nothing.
    #[pin]
    budget: SpinLockIrq<LogBudget>,
}

impl RateLimit {
    /// A full budget.
    pub(crate) fn new() -> impl PinInit<Self> {
        Self::of(LogBudget::default())
    }

    /// `budget`, full.
    pub(crate) fn of(budget: LogBudget) -> impl PinInit<Self> {
        pin_init!(Self {
            budget <- new_spinlock_irq!(budget),
        })
    }

    /// Whether a line may be printed now: if so, the number of lines suppressed since the last
    /// printed one.
    pub(crate) fn admit(&self) -> Option<Missed> {
        self.budget.lock().admit(Instant::now()).map(Missed)
    }
}
