/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel headers that rnvme needs and that the kernel crate's bindings lack. Kbuild runs
 * bindgen over them; sys/ffi.rs includes the output.
 */
#include <linux/async.h>
#include <linux/blk-mq.h>
#include <linux/blk-mq-dma.h>
#include <linux/crash_dump.h>
#include <linux/dmi.h>
#include <linux/nvme.h>
