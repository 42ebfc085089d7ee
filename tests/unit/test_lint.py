# SPDX-License-Identifier: GPL-2.0
"""The checks of `scripts/lint`, each of which complains about source made up to break it."""

import os
import tempfile
import unittest

from scripts.lib.lint import (locks, messages, names, prose, rust, shell, source, structure, tables,
                              times)
from scripts.lib.lint.kernel import Kernel

LOWER = {
    "rnvme.rs": "mod nvme;\nmod sys;\nmod queue;\nmod io;\nstruct Rnvme;\n",
    "nvme.rs": "mod ids;\npub(crate) mod regs;\nmod log;\nmod command;\n"
               "pub(crate) use self::{command::Sqe, ids::Nsid, log::Page as LogPage};\n"
               "pub(crate) struct Own;\n",
    "nvme/ids.rs": "pub(crate) struct Nsid(u32);\n",
    "nvme/regs.rs": "pub(crate) const CAP: usize = 0;\n",
    "nvme/log.rs": "mod smart;\npub(crate) struct Page;\n",
    "nvme/log/smart.rs": "",
    "nvme/command.rs": "pub(crate) struct Sqe;\n",
    "sys.rs": "pub(crate) mod ffi;\npub(crate) mod pci;\npub(crate) mod block;\n",
    "sys/ffi.rs": "", "sys/pci.rs": "mod irq;\npub(crate) use irq::Line;\n",
    "sys/pci/irq.rs": "pub(crate) struct Line;\n",
    "sys/block.rs": "mod request;\npub(crate) use self::request::Request;\n",
    "sys/block/request.rs": "pub(crate) struct Request;\n",
    "queue.rs": "mod polled;\npub(crate) struct Queue;\n", "queue/polled.rs": "", "io.rs": "",
}


def project(**files):
    """The crate above, with some files replaced: `a__b` is a/b.rs."""
    text = dict(LOWER)
    text.update({f"{name.replace('__', '/')}.rs": code for name, code in files.items()})
    return source.Project(text)


def said(check, **files):
    """What a check says of the crate with these files, as one text."""
    return "\n".join(check(project(**files)))


class Layers(unittest.TestCase):
    """The order of `mod` lines, in each folder."""

    def holds(self, **files):
        """The files are as they should be."""
        self.assertEqual(said(structure.layers, **files), "")

    def broken(self, words, **files):
        """The check finds one thing, and says so."""
        self.assertEqual(len(said(structure.layers, **files).splitlines()), 1)
        self.assertIn(words, said(structure.layers, **files))

    def test_upwards(self):
        self.holds(io="use crate::{nvme::{Sqe, regs}, queue::Queue, sys::block::Request};\n")
        self.holds(nvme__log="use super::ids::Nsid;\nuse crate::nvme::Nsid as N;\n")
        self.holds(nvme__log__smart="use crate::nvme::Nsid;\nuse super::Page;\n")

    def test_root(self):
        self.broken("queue.rs:2: imports io::Blocks: io is declared below queue",
                    queue="\nuse crate::io::Blocks;\n")
        self.broken("imports Rnvme from the crate root", io="use crate::Rnvme;\n")

    def test_folder(self):
        self.broken("log is declared below ids", nvme__ids="use super::log::Page;\n")
        self.broken("block is declared below pci", sys__pci__irq="use crate::sys::block::Request;")

    def test_reexport(self):
        """The face says a name again; its place is where it is declared."""
        self.broken("nvme::command::Sqe: command is declared below log",
                    nvme__log="use crate::nvme::{Nsid, Sqe};\n")
        self.broken("nvme::log::Page", nvme__ids="use super::LogPage;\n")

    def test_parent(self):
        self.holds(nvme__log="use super::Own;\n")
        self.holds(queue__polled="use super::Queue;\n")
        self.broken("a face that is not its parent", nvme__log__smart="use crate::nvme::Own;\n")
        self.broken("imports *", nvme__log="use super::*;\n")

    def test_code(self):
        """Paths in code count as imports do, and so do those through an imported module."""
        self.broken("io is declared below queue",
                    queue="fn f() -> u32 { crate::io::count() }\n")
        self.broken("command is declared below log",
                    nvme__log="use super::super::nvme;\nfn f() { nvme::command::g() }\n")

    def test_tests(self):
        self.holds(queue="#[kunit_tests(rnvme_queue)]\nmod tests {\n    use crate::io::Io;\n}\n")


class Faces(unittest.TestCase):
    """One folder a path."""

    def holds(self, **files):
        """The files are as they should be."""
        self.assertEqual(said(structure.faces, **files), "")

    def broken(self, path, **files):
        """The check finds one path."""
        self.assertIn(f"{path} passes by a face", said(structure.faces, **files))
        self.assertEqual(len(said(structure.faces, **files).splitlines()), 1)

    def test_faces(self):
        self.holds(io="use crate::{nvme::Sqe, sys::{block::Request, pci}};\nuse pci::Line;\n")
        self.holds(nvme__command="use super::{ids::Nsid, log::Page};\n")
        self.holds(sys__block__request="use crate::sys::{ffi as bindings, pci::Line};\n")

    def test_files(self):
        self.broken("nvme::log::Page", io="use crate::nvme::log::Page;\n")
        self.broken("sys::pci::irq::Line", io="use crate::sys::{pci::irq::Line, block::Request};")
        self.broken("sys::pci::irq::Line", sys__block__request="use super::super::pci::irq::Line;")
        self.broken("nvme::log::smart::S", nvme__command="use super::log::smart::S;\n")

    def test_namespace(self):
        self.holds(io="use crate::nvme::regs;\nfn f() -> usize { regs::CAP }\n")
        self.broken("nvme::regs::CAP", io="use crate::nvme::regs::CAP;\n")
        self.broken("nvme::regs::CAP", io="fn f() -> usize { crate::nvme::regs::CAP }\n")
        self.broken("nvme::regs::CAP", io="use crate::nvme;\nfn f() -> usize { nvme::regs::CAP }")
        self.broken("sys::pci::irq::Line", io="use crate::sys;\nfn f(_: sys::pci::irq::Line) {}")


class Pure(unittest.TestCase):
    """Facts need no kernel."""

    def test_pure(self):
        self.assertEqual("", said(
            structure.pure, io="use kernel::sync::Arc;",
            nvme__log="use kernel::{fmt, prelude::*, time::Delta};\nuse zerocopy::FromBytes;\n"
                      "fn f() { kernel::static_assert!(true); }\n"
                      "#[kunit_tests(rnvme_log)]\nmod tests { use kernel::str::CString; }\n"))

    def test_impure(self):
        for code in ("use kernel::{prelude::*, sync::Arc};", "use core::sync::atomic::AtomicU8;",
                     "use crate::sys::pci::Line;", "fn f(_: &kernel::device::Device) {}",
                     "use kernel::{\n    prelude::*,\n    device, //\n};"):
            self.assertIn("this file is pure", said(structure.pure, nvme__log=code), code)


class Unsafe(unittest.TestCase):
    """One layer may."""

    def test_outside(self):
        for code in ("fn f() { unsafe { g() } }", "use crate::sys::ffi as bindings;",
                     "use crate::sys::{\n    ffi,\n    pci, //\n};", "fn f(_: core::ffi::c_int) {}",
                     "mod tests { use crate::sys::ffi; }"):
            self.assertIn("outside sys/", said(structure.unsafe_only_in_sys, io=code), code)

    def test_inside(self):
        good = {"io": "// unsafe, ffi::f\nfn f() -> &str { \"unsafe ffi::f\" }",
                "sys__pci__irq": "use crate::sys::ffi as bindings;"}
        self.assertEqual(said(structure.unsafe_only_in_sys, **good), "")

    def test_documented(self):
        code = "fn f() {\n    // SAFETY: it is.\n    unsafe { g() };\n    unsafe { h() }\n}\n"
        self.assertEqual(said(rust.unsafe_documented, sys__pci=code),
                         "sys/pci.rs:4: undocumented unsafe")


class Rust(unittest.TestCase):
    """What holds in each Rust file."""

    def test_functions(self):
        body = "    // A line.\n"
        long, good = (f"fn f<const N: usize>(a: [u8; 4]) -> [u8; N] {{\n{body * lines}}}\n"
                      for lines in (59, 58))
        self.assertEqual(said(rust.functions, io=good), "")
        self.assertEqual(said(rust.functions, io=long),
                         "io.rs:1: fn f has 61 lines, more than 60")
        tests = "#[kunit_tests(rnvme_io)]\nmod tests {{\nfn f() {{\n{}}}\n}}\n"
        self.assertEqual(said(rust.functions, io=tests.format(body * 98)), "")
        self.assertIn("more than 100", said(rust.functions, io=tests.format(body * 99)))

    def test_type_names(self):
        good = ("struct Inner;\nimpl A for B { type Queue = u8; }\nfn f() { struct Queue; }\n"
                "mod tests { struct Queue; }\n")
        self.assertEqual(said(rust.type_names, io=good), "")
        for code in ("enum Queue {}", "type Queue = u8;", "register! {\nQueue(u32) @ 0x14 {} }",
                     "bitfield! { pub(crate) struct Queue(u8) {} }", "trait Queue {}"):
            self.assertIn("Queue is also the name of the type at io.rs",
                          said(rust.type_names, io=code), code)

    def test_no_panic(self):
        self.assertEqual(said(rust.no_panic, io="fn f() { g().unwrap_or(0) }"), "")
        self.assertIn("io.rs:1: may panic", said(rust.no_panic, io="fn f() { g().unwrap() }"))


OUTER = """struct Io {
    /// LOCK: its state; inside: `Queue::tail`.
    // SAFETY: `Queue` says why.
    #[pin]
    state: Mutex<u8>,
}
"""
INNER = """struct Queue {
    /// The lock.
    ///
    /// LOCK: the tail of
    /// a ring; inside:
    /// nothing. Not in interrupts.
    #[pin]
    tail: SpinLock<u8>,
}
"""


class Locks(unittest.TestCase):
    """Each lock has a comment, and the page has it, too."""

    def test_table(self):
        page = f"before\n{locks.BEGIN}\nold\n{locks.END}\nafter\n"
        crate = project(queue=INNER, io=OUTER)
        crate.text[locks.PAGE] = page
        self.assertIn("the table of locks is not", "\n".join(locks.check_locks(crate)))
        crate.text[locks.PAGE] = tables.with_table(page, locks.BEGIN, locks.END,
                                                   locks.table(locks.locks(crate)[0]))
        self.assertEqual(locks.check_locks(crate), [])
        rows = crate.text[locks.PAGE].split("\n")[5:7]
        self.assertEqual(rows, [
            "| `Io::state` (mutex) | `io.rs` | its state | `Queue::tail` |",
            "| `Queue::tail` (spinlock, never in interrupts) | `queue.rs` | the tail of a ring | "
            "nothing. Not in interrupts |"])

    def test_missing(self):
        for code in ("struct Io {\n    state: Mutex<u8>,\n}",
                     "struct Io {\n    // LOCK: its state.\n    state: SpinLockIrq<u8>,\n}",
                     "global_lock! {\n    static LIST: Mutex<u8> = 0;\n}",
                     "struct Io {\n    pub(crate) all: KVec<Arc<Mutex<u8>>>,\n}"):
            self.assertIn("has no comment", said(locks.check_locks, io=code), code)
        self.assertEqual(locks.locks(project(io="fn f(lock: &Mutex<u8>, b: Mutex<u8>) {}")),
                         ([], []))

    def test_stale(self):
        self.assertIn("Queue::tail is no lock", said(locks.check_locks, io=OUTER))
        self.assertIn("no lock's field has", said(locks.check_locks, io="// LOCK: a; inside: b."))

    def test_circle(self):
        back = INNER.replace("nothing", "all other locks")
        self.assertIn("in a circle", said(locks.check_locks, io=OUTER, queue=back))
        but = INNER.replace("nothing", "all other locks but `Io::state`")
        self.assertNotIn("in a circle", said(locks.check_locks, io=OUTER, queue=but))


class Messages(unittest.TestCase):
    """The lines of the log, and docs/MESSAGES.md."""

    CODE = ('fn f() {\n    dev_warn!(\n        dev,\n        "queue {}: \\\n         lost\\n",\n'
            '        1\n    );\n    dev_err!(dev, "{}\\n", e);\n    // dev_info!(dev, "no");\n'
            '    write!(f, "ends so");\n}\n')
    ROW = "| `queue {}: lost` | meaning | remedy |\n"

    def complaints(self, page):
        """What the check says of a page."""
        crate = project(io=self.CODE)
        crate.text[messages.PAGE] = page
        return "\n".join(messages.check_messages(crate))

    def test_rows(self):
        self.assertEqual(self.complaints(self.ROW), "")
        self.assertIn("no row for the message of io.rs:2: | `queue {}: lost` |", self.complaints(""))
        self.assertIn("no such message in the source: other",
                      self.complaints(self.ROW + "| `other` | | |\n"))
        self.assertEqual(self.complaints(self.ROW + "| `ends so` | | |\n"), "")
        self.assertIn("two rows for: queue", self.complaints(self.ROW * 2))

    def test_reasons(self):
        crate = project(controller='fn f() { it.notify(Event::Gone, "unplugged"); }\n')
        crate.text[messages.PAGE] = ""
        self.assertIn("`unplugged`", "\n".join(messages.check_messages(crate)))


class Times(unittest.TestCase):
    """The table of times."""

    CODE = ("/// Between two looks, see [`OTHER`].\n///\n/// TIMEOUT: as Linux.\n"
            "pub(crate) const LOOK_MS: u32 = 1_500;\n"
            "/// The interval.\npub(crate) const OTHER: Delta = Delta::from_secs(5);\n")

    def test_table(self):
        crate = project(policy__timing=self.CODE)
        self.assertEqual(times.times(crate), [("LOOK_MS", 1500, "Between two looks, see `OTHER`."),
                                              ("OTHER", 5000, "The interval.")])
        page = f"before\n{times.BEGIN}\nold\n{times.END}\nafter\n"
        crate.text[times.PAGE] = page
        self.assertIn("the table of times is not", "\n".join(times.check_times(crate)))
        crate.text[times.PAGE] = tables.with_table(page, times.BEGIN, times.END,
                                                   times.table(times.times(crate)))
        self.assertEqual(times.check_times(crate), [])
        self.assertIn("| `LOOK_MS` | 1500 |", crate.text[times.PAGE])

    def test_no_markers(self):
        crate = project(policy__timing=self.CODE)
        crate.text[times.PAGE] = "no table\n"
        self.assertTrue(times.check_times(crate))


class Pages(unittest.TestCase):
    """What holds in pages."""

    FEATURES = ("| feature | specification | file | test |\n|---|---|---|---|\n"
                "| reads | | {file} | {test} |\n")
    TEXT = {"io.rs": "#[kunit_tests(rnvme_io)]\nmod tests {}\n", "bench/run": "",
            "tests/guest/fio/deep.sh": "", "tests/guest/lib/fio.sh": "", "tests/unit/test_a.py": ""}

    def features(self, file="`io.rs`", test="`fio/*`, `rnvme_io`"):
        """What is said of a page with one feature."""
        text = dict(self.TEXT)
        text["docs/FEATURES.md"] = self.FEATURES.format(file=file, test=test)
        return "\n".join(prose.features(source.Project(text)))

    def test_features(self):
        self.assertEqual(self.features(), "")
        self.assertEqual(self.features(
            "`bench/`", "`fio/deep`, `rnvme_i*`, `test_a`, [compile time, `fio/none`]"), "")
        self.assertIn("there is no test fio/wide", self.features(test="`fio/wide`, `rnvme_io`"))
        self.assertIn("there is no test rnvme_ring", self.features(test="`fio/*`, `rnvme_ring`"))
        self.assertIn("there is no file ring.rs", self.features(file="`io.rs`, `ring.rs`"))
        self.assertIn("rnvme_io: neither", self.features(test="`fio/*`"))
        self.assertIn("fio/deep: neither", self.features(test="`rnvme_io`"))

    def words(self, name, text):
        """What is said of the words of a file."""
        return "\n".join(prose.words(source.Project({name: text})))

    def test_words(self):
        subject = "some" "body"
        for name, text in (("a.rs", f"// Told\n// {subject} of it.\n"),
                           ("docs/A.md", f"\n{subject}"), ("a.sh", f"\n# {subject}\n"),
                           ("a.py", f"def f():\n    '''{subject}'''"),
                           ("README.md", "\nWhat\nis " "to be done"), ("a.c", "")):
            self.assertEqual(f"{name}:2: says" in self.words(name, text), name != "a.c", name)
        self.assertEqual(self.words("a.sh", f"echo {subject}\n"), "")

    def test_wrapped(self):
        long = "a " * 51
        self.assertIn("docs/A.md:3", self.words("docs/A.md", f"\n\n{long}\n"))
        for text in (f"```\n{long}\n```", f"| {long} |", f"[a](https://example.org/{'a' * 99})"):
            self.assertEqual(self.words("docs/A.md", text), "")

    def test_length(self):
        text = {"a.rs": "\n" * 500, "b.sh": "\n" * 501, "bench/results.json": "\n" * 999}
        self.assertEqual(prose.length(source.Project(text)), ["b.sh: 501 lines, more than 500"])


class Names(unittest.TestCase):
    """Names in backticks."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.makedirs(f"{folder.name}/linux/rust/kernel/block")
        os.makedirs(f"{folder.name}/linux/include/linux")
        with open(f"{folder.name}/linux/rust/kernel/block/mq.rs", "w", encoding="utf-8") as out:
            out.write("pub struct TagSet;\nimpl TagSet { fn zz_last() {} }\n// only_a_comment\n")
        with open(f"{folder.name}/linux/include/linux/nvme.h", "w", encoding="utf-8") as out:
            out.write("int aa_first(void);\n")
        self.kernel = Kernel(f"{folder.name}/linux", f"{folder.name}/cache/names")

    def said(self, words, **files):
        """What is said of a page with these words."""
        code = {"queue": "pub(crate) struct Queue;\nimpl Queue { fn ring_doorbell() {} }\n"}
        crate = project(**(code | files))
        text = crate.text | {"docs/A.md": words, "scripts/run": "#!/bin/bash\nqd_max=1\n",
                             "tests/guest/fio/deep.sh": ""}
        return "\n".join(names.names(source.Project(text), self.kernel))

    def test_exist(self):
        self.assertEqual("", self.said(
            "`Queue::ring_doorbell()` `queue::Queue` `nvme::log::Page` `LogPage` `qd_max` "
            "`queue.rs` `scripts/run` `nvme/` `fio/deep` `fio/*` `block::mq` "
            "`TagSet::zz_last` `aa_first` `linux/nvme.h` `Arc` `tests/guest/<name>.sh` "
            "`usize::MAX` `word` `a b_c` `/sys/a_b`\n"
            "```\n`no_such_name`\n```\n"))

    def test_missing(self):
        for name in ("Queue::sound_bell", "nvme::log::Paper", "ghost::Queue", "QueuePair",
                     "ring_bell", "rings.rs", "scripts/walk", "ghosts/", "fio/wide",
                     "only_a_comment", "TagSet::zz_middle", "MAX_GHOSTS", "ring_bell()"):
            self.assertEqual(self.said(f"\n`{name}`"), f"docs/A.md:2: there is no `{name}`")

    def test_comments(self):
        self.assertIn("io.rs:1: there is no `ring_bell`", self.said("", io="/// `ring_bell`\n"))
        code = "def f():\n    \"""`ring_bell`\"""\n    g(\n        '`other_bell`')\n"
        self.assertEqual(names.names(source.Project({"a.py": code}), self.kernel),
                         ["a.py:2: there is no `ring_bell`"])
        self.assertEqual(self.said("", io="const A: &str = \"`ring_bell`\";\n"), "")


class Shell(unittest.TestCase):
    """A script is looked at again when it, or what it sources, is another."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.memory = f"{folder.name}/cache/good.json"
        self.text = {"a.sh": ". /lib.sh\n", "b.sh": "# shellcheck source=more.sh\n. \"$TOP/x\"\n",
                     "lib.sh": "", "more.sh": ""}

    def looked_at(self, bad=(), version="1"):
        """(the scripts that were looked at, what was said of them)."""
        seen = []

        def run(scripts):
            seen.extend(scripts)
            return scripts, [f"{name}:1: bad" for name in scripts if name in bad]

        told = shell.shellcheck(source.Project(self.text), self.memory, run, version)
        return sorted(set(seen)), told

    def test_once(self):
        self.assertEqual(self.looked_at(), (["a.sh", "b.sh", "lib.sh", "more.sh"], []))
        self.assertEqual(self.looked_at(), ([], []))
        self.text["lib.sh"] = "true\n"
        self.assertEqual(self.looked_at()[0], ["a.sh", "lib.sh"])
        self.text["more.sh"] = "true\n"
        self.assertEqual(self.looked_at()[0], ["b.sh", "more.sh"])
        self.assertEqual(len(self.looked_at(version="2")[0]), 4)

    def test_bad(self):
        for _ in range(2):
            seen, told = self.looked_at(bad=["b.sh"])
            self.assertEqual(told, ["b.sh:1: bad"])
        self.assertEqual(seen, ["b.sh"])


if __name__ == "__main__":
    unittest.main()
