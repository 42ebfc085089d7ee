// SPDX-License-Identifier: GPL-2.0

//! Which optional function of a controller an admin command uses.

use super::{
    DoorbellBufferConfig,
    GetLogPage,
    Identify,
    SetNumberOfQueues,
    Sqe, //
};
use crate::nvme::{
    identify::{
        IdentifyController,
        IdentifyNamespaceIndependent,
        IdentifyNamespaceNvm, //
    },
    log::SmartLog, //
};

use super::admin::AdminCommand;
use kernel::prelude::*;

/// An optional function of a controller: a data structure, a feature, a log page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdminFunction {
    /// The opcode.
    pub(crate) opcode: u8,
    /// What the command is for: CNS, feature or log page.
    pub(crate) selector: u32,
    /// The namespace; 0 if none, or if a controller has the function for all namespaces or for none.
    pub(crate) nsid: u32,
}

impl Sqe {
    /// The function that this admin command uses, if a controller need not have it. Every controller
    /// has Identify for itself and for its namespaces (CNS 01h and 00h).
    pub(crate) fn function(&self) -> Option<AdminFunction> {
        const IDENTIFY: u8 = Identify::<IdentifyController>::OPCODE;
        const GET_LOG_PAGE: u8 = GetLogPage::<SmartLog>::OPCODE;
        const SET_FEATURES: u8 = SetNumberOfQueues::OPCODE;
        const NAMESPACE_NVM: u32 = Identify::<IdentifyNamespaceNvm>::SELECTOR;
        const INDEPENDENT: u32 = Identify::<IdentifyNamespaceIndependent>::SELECTOR;
        let selector = self.cdw10 & 0xff;
        let is_optional = match self.opcode {
            IDENTIFY => selector > 1,
            GET_LOG_PAGE | SET_FEATURES | DoorbellBufferConfig::OPCODE => true,
            _ => false,
        };
        let nsid = match (self.opcode, selector) {
            (IDENTIFY, NAMESPACE_NVM | INDEPENDENT) => 0,
            _ => self.nsid,
        };
        is_optional.then_some(AdminFunction {
            opcode: self.opcode,
            selector,
            nsid,
        })
    }
}

#[kunit_tests(rnvme_admin_function)]
mod tests {
    use super::*;
    use crate::nvme::{
        Nsid,
        QueueId,
        SetTimestamp, //
    };

    #[test]
    fn optional_functions() {
        let nsid = Nsid::new(3).unwrap();
        let cases = [
            (Identify::controller().sqe(), None),
            (Identify::namespace(nsid).sqe(), None),
            (Identify::descriptors(nsid).sqe(), Some((6, 3, 3))),
            (Identify::namespace_nvm(nsid).sqe(), Some((6, 5, 0))),
            (Identify::controller_nvm().sqe(), Some((6, 6, 0))),
            (Identify::namespace_independent(nsid).sqe(), Some((6, 8, 0))),
            (SetTimestamp { ms: 1 }.sqe(), Some((9, 0x0e, 0))),
            (GetLogPage::smart().sqe(), Some((2, 2, u32::MAX))),
            (super::super::DeleteIoSq(QueueId::new(1)).sqe(), None),
        ];
        for (sqe, function) in cases {
            let found = sqe.function().map(|it| (it.opcode, it.selector, it.nsid));
            assert_eq!(found, function);
        }
    }
}
