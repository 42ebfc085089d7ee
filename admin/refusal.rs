// SPDX-License-Identifier: GPL-2.0

//! What the controller refuses: said once, and remembered until its next reset.

use super::{
    AdminQueue,
    Page, //
};
use crate::{
    nvme::{
        identify,
        opcode_name,
        AdminCommand,
        AdminFunction,
        Identify,
        IdentifyData,
        QueueId,
        Status, //
    },
    sys::block::Buffer, //
};
use core::marker::PhantomData;
use kernel::prelude::*;

impl AdminQueue {
    /// Asks the controller again for what it has refused: it was reset, or its firmware may be another.
    pub(crate) fn forget_refusals(&self) {
        self.refusals.lock().forget();
    }

    /// Reads the data structure `D`, which the controller may refuse: its status is the caller's to
    /// judge. The log has a line, once, for what the controller does not support, and none for
    /// another status.
    ///
    /// # Errors
    ///
    /// `EIO` if the controller did not complete the command; `ENOMEM`.
    pub(crate) fn ask<D: IdentifyData>(
        &self,
        command: &Identify<D>,
    ) -> Result<Result<Page<D>, Status>> {
        if let Some(status) = self.refusal(command) {
            return Ok(Err(status));
        }
        let mut bytes = identify::page(0)?;
        let answer = self.submit(command, Buffer::Read(&mut bytes), |data, result| {
            let status = data.status();
            match result {
                Ok(()) => Ok(Ok(())),
                Err(_) if status.is_from_controller() => Ok(Err(status)),
                Err(e) => Err(e),
            }
        })?;
        if let Err(status) = answer {
            self.note_refusal(command, status);
        }
        Ok(answer.map(|()| Page {
            bytes,
            _data: PhantomData,
        }))
    }

    /// Remembers that the controller does not support `command`, if `status` says that, and logs it.
    fn note_refusal<D: IdentifyData>(&self, command: &Identify<D>, status: Status) {
        let function = command.sqe().function();
        if function.is_some() && status.is_unsupported() && !self.is_silent() {
            let name = opcode_name(QueueId::ADMIN, Identify::<D>::OPCODE);
            self.note_failure(name, Identify::<D>::DETAIL, function, status);
        }
    }

    /// The status with which the controller has refused `command` for good.
    pub(super) fn refusal(&self, command: &impl AdminCommand) -> Option<Status> {
        self.refusals.lock().holds(command.sqe().function()?)
    }

    /// Logs that the admin command `name` ended with `status`, and remembers what the controller does
    /// not support.
    pub(super) fn note_failure(
        &self,
        name: &str,
        detail: &str,
        function: Option<AdminFunction>,
        status: Status,
    ) {
        let is_news = |function| self.refusals.lock().note(function, status);
        if !function.is_none_or(is_news) {
            return;
        }
        let Some(missed) = self.lines.admit() else {
            return;
        };
        let dev = self.queue.device();
        let Some(function) = function else {
            dev_err!(
                dev,
                "admin command {}{} failed: {}{}\n",
                name,
                detail,
                status,
                missed
            );
            return;
        };
        let next = match status.is_unsupported() {
            true => ": going on without it until the next reset",
            false => "",
        };
        let which = function.selector;
        dev_warn!(
            dev,
            "admin command {}{} ({:#x}) failed: {}{}{}\n",
            name,
            detail,
            which,
            status,
            next,
            missed
        );
    }
}
