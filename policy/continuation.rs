// SPDX-License-Identifier: GPL-2.0

//! Whether a controller may go on after a reset or with new firmware, and what holds of it then.

use crate::nvme::ControllerInfo;
use kernel::prelude::*;

/// How a controller goes on.
pub(crate) struct Continuation {
    /// Whether it has another model name: a host may give its virtual controllers other names.
    pub(crate) has_other_model: bool,
    /// What holds of the controller from now on.
    pub(crate) info: ControllerInfo,
    /// Whether the controller has got a volatile write cache. Its disks have none until the next
    /// scan, so the block layer sends no flush: the cache must be switched off until then.
    pub(crate) has_new_cache: bool,
}

impl Continuation {
    /// How a controller goes on that was `before` and identifies itself as `now`. Its serial number
    /// tells that it is the same; the namespaces are compared elsewhere. A text of blanks tells nothing,
    /// and the text of before holds: some controllers say nothing for a while after a reset. Without a
    /// serial number the model must be the same.
    ///
    /// Its queues were made for SGLs where `before` has them. A smaller MDTS holds for the disks from
    /// the next scan on; the controller refuses a request of before that is larger.
    ///
    /// # Errors
    ///
    /// What the controller lacks to go on, in words: another controller, or requests that wait for
    /// it could not be sent.
    pub(crate) fn new(before: &ControllerInfo, now: &ControllerInfo) -> Result<Self, &'static str> {
        let has_other_model = before.model.is_other(&now.model);
        if before.serial.is_other(&now.serial) {
            return Err("serial number");
        }
        let tells_serial = !before.serial.is_empty() && !now.serial.is_empty();
        if has_other_model && !tells_serial {
            return Err("model, and the serial number is unknown");
        }
        if before.sgls && !now.sgls {
            return Err("SGLs");
        }
        Ok(Self {
            info: ControllerInfo {
                serial: now.serial.or(before.serial),
                model: now.model.or(before.model),
                firmware: now.firmware.or(before.firmware),
                sgls: before.sgls,
                ..*now
            },
            has_other_model,
            has_new_cache: now.volatile_write_cache && !before.volatile_write_cache,
        })
    }
}

#[kunit_tests(rnvme_continuation)]
mod tests {
    use super::*;
    use crate::nvme::{
        IdentifyController,
        Text, //
    };
    use zerocopy::FromBytes;

    /// A controller of zeroes, but for what `change` does.
    fn controller(change: impl FnOnce(&mut ControllerInfo)) -> Result<ControllerInfo> {
        let page = KVec::from_elem(0u8, size_of::<IdentifyController>(), GFP_KERNEL)?;
        let raw = IdentifyController::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        let mut info = ControllerInfo::decode(raw).map_err(|_| EINVAL)?;
        change(&mut info);
        Ok(info)
    }

    /// One change of a controller, and what it lacks then.
    type Case = (fn(&mut ControllerInfo), Option<&'static str>);

    #[test]
    fn what_a_controller_must_keep() -> Result {
        let before = controller(|it| {
            it.sgls = true;
            it.serial = Text::new(&[b's'; 20]);
            it.model = Text::new(&[b'm'; 40]);
        })?;
        let cases: [Case; 8] = [
            (|_| {}, None),
            (
                |it| it.serial = Text::new(&[b'x'; 20]),
                Some("serial number"),
            ),
            (|it| it.model = Text::new(&[b'x'; 40]), None),
            (|it| it.serial = Text::new(&[b' '; 20]), None),
            (
                |it| {
                    it.serial = Text::new(&[0; 20]);
                    it.model = Text::new(&[b'x'; 40]);
                },
                Some("model, and the serial number is unknown"),
            ),
            (|it| it.max_transfer = Some(4096), None),
            (|it| it.sgls = false, Some("SGLs")),
            (|it| it.firmware = Text::new(&[b'2'; 8]), None),
        ];
        for (change, lacks) in cases {
            let mut now = before;
            change(&mut now);
            assert_eq!(Continuation::new(&before, &now).err(), lacks);
        }
        Ok(())
    }

    #[test]
    fn texts_of_blanks_tell_nothing() -> Result {
        let named = controller(|it| {
            it.serial = Text::new(b"S                   ");
            it.model = Text::new(&[b'm'; 40]);
            it.firmware = Text::new(b"1.0     ");
        })?;
        let blank = controller(|_| {})?;
        for (before, now) in [(&named, &blank), (&blank, &named)] {
            let next = Continuation::new(before, now).map_err(|_| EINVAL)?;
            assert!(!next.has_other_model);
            assert_eq!(next.info.serial.as_str(), "S");
            assert_eq!(next.info.model.as_str(), named.model.as_str());
            assert_eq!(next.info.firmware.as_str(), "1.0");
        }
        let mut renamed = named;
        renamed.model = Text::new(&[b'x'; 40]);
        let next = Continuation::new(&named, &renamed).map_err(|_| EINVAL)?;
        assert!(next.has_other_model);
        assert_eq!(next.info.model.as_str(), renamed.model.as_str());
        Ok(())
    }

    #[test]
    fn the_last_identify_holds() -> Result {
        let before = controller(|it| it.dataset_management = true)?;
        let now = controller(|it| {
            it.write_zeroes = true;
            it.rtd3e_us = 7;
            it.firmware = Text::new(b"2.0     ");
        })?;
        let info = Continuation::new(&before, &now).map_err(|_| EINVAL)?.info;
        assert!(!info.dataset_management && info.write_zeroes);
        assert_eq!((info.rtd3e_us, info.firmware.as_str()), (7, "2.0"));
        Ok(())
    }

    #[test]
    fn queues_are_not_made_again_for_sgls() -> Result {
        let (before, now) = (controller(|_| {})?, controller(|it| it.sgls = true)?);
        let next = Continuation::new(&before, &now).map_err(|_| EINVAL)?;
        assert!(!next.info.sgls);
        Ok(())
    }

    #[test]
    fn disks_know_no_cache_that_is_new() -> Result {
        // Before, now; whether the cache is new.
        for (was, is, new) in [
            (false, false, false),
            (true, true, false),
            (true, false, false),
            (false, true, true),
        ] {
            let before = controller(|it| it.volatile_write_cache = was)?;
            let now = controller(|it| it.volatile_write_cache = is)?;
            let next = Continuation::new(&before, &now).map_err(|_| EINVAL)?;
            assert_eq!(next.info.volatile_write_cache, is);
            assert_eq!(next.has_new_cache, new);
        }
        Ok(())
    }
}
