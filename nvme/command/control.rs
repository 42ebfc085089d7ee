// SPDX-License-Identifier: GPL-2.0

//! Abort, Asynchronous Event Request and Keep Alive.
//!
//! Base 5.1, 5.2, 5.18.

use super::{
    admin::AdminCommand,
    Sqe, //
};
use crate::nvme::{
    event::AsyncEvent,
    ids::{
        CommandId,
        QueueId, //
    },
};
use kernel::prelude::*;

/// Abort (Base 5.1): asks the controller to abort a command. The command may complete first, and
/// the controller may decline.
pub(crate) struct Abort {
    /// The submission queue of the command.
    pub(crate) queue: QueueId,
    /// The command.
    pub(crate) command: CommandId,
}

impl Abort {
    /// Whether dword 0 of the completion says that the command was aborted.
    pub(crate) const fn has_aborted(dw0: u32) -> bool {
        dw0 & 1 == 0
    }
}

impl AdminCommand for Abort {
    /// Whether the command was aborted. If so, it has completed with Command Abort Requested.
    type Reply = bool;
    const OPCODE: u8 = 0x08;

    fn sqe(&self) -> Sqe {
        Sqe {
            cdw10: (u32::from(self.command.raw()) << 16) | u32::from(self.queue.raw()),
            ..Sqe::new(Self::OPCODE, 0)
        }
    }

    fn reply(&self, dw0: u32) -> bool {
        Self::has_aborted(dw0)
    }
}

/// Asynchronous Event Request (Base 5.2): completes when an event occurs, which may be never.
pub(crate) struct AsyncEventRequest;

impl AdminCommand for AsyncEventRequest {
    type Reply = AsyncEvent;
    const OPCODE: u8 = 0x0c;

    fn sqe(&self) -> Sqe {
        Sqe::new(Self::OPCODE, 0)
    }

    fn reply(&self, dw0: u32) -> AsyncEvent {
        AsyncEvent::from_raw(dw0)
    }
}

/// Keep Alive (Base 5.18): restarts the controller's keep alive timer.
pub(crate) struct KeepAlive;

impl AdminCommand for KeepAlive {
    type Reply = ();
    const OPCODE: u8 = 0x18;

    fn sqe(&self) -> Sqe {
        Sqe::new(Self::OPCODE, 0)
    }

    fn reply(&self, _dw0: u32) {}
}

#[kunit_tests(rnvme_control_command)]
mod tests {
    use super::{
        super::tests::is,
        *, //
    };

    #[test]
    fn abort_images() {
        // Queue, tag, generation, CDW10.
        for (queue, tag, generation, cdw10) in [
            (0, 0, 0, [0, 0, 0, 0]),
            (1, 0, 0, [1, 0, 0, 0]),
            (0x0203, 0x405, 6, [0x03, 0x02, 0x05, 0x64]),
            (u16::MAX, 0xfff, 15, [0xff; 4]),
        ] {
            let command = Abort {
                queue: QueueId::new(queue),
                command: CommandId::new(tag, generation),
            };
            assert!(is(command.sqe(), &[(0, &[8]), (40, &cdw10)]));
        }
    }

    #[test]
    fn abort_replies() {
        let command = Abort {
            queue: QueueId::new(1),
            command: CommandId::new(2, 3),
        };
        // Only bit 0 counts: 1 means that the command was not aborted.
        for (dw0, aborted) in [(0, true), (1, false), (2, true), (u32::MAX, false)] {
            assert_eq!(command.reply(dw0), aborted);
        }
    }

    #[test]
    fn commands_without_parameters() {
        assert!(is(AsyncEventRequest.sqe(), &[(0, &[0x0c])]));
        assert!(is(KeepAlive.sqe(), &[(0, &[0x18])]));
        assert_eq!(AsyncEventRequest.reply(0x0002_0100).raw(), 0x0002_0100);
    }
}
