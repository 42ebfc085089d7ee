# SPDX-License-Identifier: GPL-2.0
"""The function of an address, and the part of the kernel of a function."""

import bisect
import re
import subprocess

# module -> driver under test.
DRIVERS = {"rnvme": "rnvme", "nvme": "nvme", "nvme_core": "nvme"}
# The parts of the kernel, in the order of the report.
PARTS = ("driver", "dma", "block", "interrupt", "request", "memory", "locks", "scheduling",
         "rest")
PART_TITLES = {
    "driver": "the driver",
    "dma": "DMA mapping",
    "block": "block layer",
    "interrupt": "interrupt entry and exit",
    "request": "system call, io_uring, pages of the program",
    "memory": "allocators",
    "locks": "locks",
    "scheduling": "scheduler, idle, timers",
    "rest": "the rest",
}
# The first rule that matches the whole name of a kernel function decides. Without debug
# information of Debian's kernel the source file is not known.
RULES = [(part, re.compile(pattern)) for part, pattern in (
    # The kernel's Rust code and its helpers for C's inline functions: only a Rust driver calls
    # them, C inlines the same code.
    ("driver", r"rust_helper_.*|_R.*"),
    ("dma", r"_*(dma|iommu|swiotlb|debug_dma|is_swiotlb|sg|sgl)_.*|force_dma_unencrypted|"
            r"_*blk_(rq_)?(dma_map|map_iter).*|.*cc_platform_has"),
    ("block", r"_*(blk|bio|blkdev|bdev|disk|sbitmap|rq_qos|rq|elv|wbt|submit_bio|blkcg|bvec|req|bd|"
              r"part|block|ioprio|get_io_context|update_io_ticks|should_fail_bio|get_ioprio)(_.*)?|"
              r"get_max_segment_size|I_BDEV|kthread_blkcg|_find_next_zero_bit|mq_.*|_*attempt_merge|.*_throtl_.*|ll_.*|bt_.*|dd_.*"),
    ("interrupt", r"(asm_)?(common_interrupt|sysvec_.*|call_irq_handler)|_*common_interrupt|"
                  r"_*(handle_irq|handle_edge|handle_fasteoi|irq|irqentry|irqtime|msi|apic|x2apic|"
                  r"native_apic|native_x2apic|lapic|error|do_softirq|handle_softirqs|softirq|"
                  r"raise_softirq|pci_msi|pci_msix|mask|unmask|note_interrupt|"
                  r"add_interrupt_randomness|generic_handle|restore_regs|paranoid|ret_from)"
                  r"(_.*|$)|_*irq_.*|raw_irqentry.*|handle_.*irq.*|fast_mix|mix_interrupt_randomness|ksoftirqd.*"),
    ("request", r"_*(io|sys|x64_sys|do_syscall|syscall|entry_SYSCALL|gup|pin_user|unpin_user|"
                r"follow|iov_iter|iocb|iter|import|fget|fput|get_user|put_user|copy|kiocb|"
                r"try_grab|folio|page|generic_file|generic_write|filemap|x64|rw_verify|"
                r"security_file|apparmor_file|fsnotify|vm_normal|mm|fault_in|check_and|"
                r"internal_get|file|vfs|kernel_write|kernel_read|notify|touch_atime|"
                r"atime|lru)(_.*|$)|do_syscall_64|entry_SYSCALL.*|import_.*|.*_user_pages.*|"
                r"__get_user_.*|__put_user_.*|clear_bhb.*|__fsnotify.*|.*iov_iter.*|"
                r"try_get_folio|gup.*|do_sys_io_uring.*|__do_sys_io_uring.*|aa_file_perm|common_file_perm|"
                r"__pte_offset_map|__pkru_allows_pkey|bpf_lsm_file.*|noop_dirty_folio|"
                r"mod_node_page_state|__mod_.*|is_valid_gup.*"),
    ("memory", r"_*(kmem|kmalloc|kfree|kvfree|slab|mempool|alloc|free|memcg|obj_cgroup|"
               r"refill|put_cpu_partial|new_slab|get_partial|rmqueue|vm_)(_.*|$)"),
    ("locks", r"_*(raw_spin|lockref|raw_read|raw_write|mutex|rwsem|queued|native_queued|percpu_ref|up|down|"
              r"rcu_read|local_bh|percpu_counter|preempt_count)(_.*|$)"),
    ("scheduling", r"_*(schedule|sched|do_idle|default_idle|cpuidle|cpu_startup|cpu_idle|tick|"
                   r"hrtimer|timer|ktime|pick|put_prev|set_next|dequeue|enqueue|update|try_to_wake|"
                   r"ttwu|wake|finish_task|switch|psi|context_switch|prepare_task|account|cgroup|"
                   r"check_preempt|wakeup|resched|rcu|nohz|clockevents|select|native_sched|"
                   r"arch_cpu_idle|pv_native|mwait|acpi_idle|acpi_processor|sched_clock|"
                   r"local_clock|calc|read_tsc|quiet_vmstat|place_entity|avg|reweight|"
                   r"entity|dl|task|finish|balance|native_load|load_new|fpregs|os_xsave|"
                   r"get_nohz|run|process_timeout|mod_timer|add_timer|del_timer|get_next|"
                   r"raise_timer|perf|trigger|idle|kvm|flush_smp|call_function|"
                   r"finish_wait|prepare_to|autoremove|default_wake|complete|swake|wait|"
                   r"native_safe_halt|need_update|vtime|can_stop|leave_mm|enter_lazy|"
                   r"io_schedule|yield|cpu|cpumask|cpuacct|save_fpregs|vruntime|can|"
                   r"wq|queue_work|worker|process_one)(_.*|$)|native_.*halt|ct_.*|lock_timer_base|hrtick.*|propagate_.*|record_times|"
                   r".*timekeeping.*|timerqueue.*|ntp_.*|profile_.*|watchdog.*|migrate_.*|invoke_rcu.*|"
                   r"tmigr.*|smp_call.*|refresh_cpu.*|.*note_gp.*|do_nanosleep|tsc_.*|"
                   r".*try_to_del_timer.*|.*remove_hrtimer|.*_fair|.*_rt|.*_dl|"
                   r".*sched_clock.*|pick_.*|.*cfs.*|.*_idle(_.*|$)"),
)]


def part_of(function, module):
    """The part of the kernel that a function (its mangled name) belongs to."""
    if module in DRIVERS:
        return "driver"
    if module:
        return "rest"
    function = function.split(".")[0]
    for part, rule in RULES:
        if rule.fullmatch(function):
            return part
    return "rest"


def run(*command, text=None):
    """Run a program; returns its output."""
    return subprocess.run(command, check=True, capture_output=True, text=True, input=text).stdout


def code_symbols(path):
    """(section, offset, name, size) of the functions of a module's file."""
    names, found = {}, []
    for line in run("readelf", "-SW", path).splitlines():
        match = re.match(r"\s*\[\s*(\d+)\] (\S+)", line)
        if match:
            names[match[1]] = match[2]
    for line in run("readelf", "-sW", path).splitlines():
        words = line.split()
        if len(words) == 8 and words[3] == "FUNC" and words[6] in names:
            if not words[7].startswith("__pfx_"):
                found.append((names[words[6]], int(words[1], 16), words[7], int(words[2], 0)))
    return found


class Symbols:
    """The functions of a kernel and its loaded modules."""

    def __init__(self, kernel):
        """`kernel`: [(address, name)]."""
        self.kernel = sorted(kernel)
        self.modules = []
        self.places = []
        self.cache = {}
        self._index()

    def _index(self):
        found = [(address, name, "") for address, name in self.kernel] + self.modules
        found.sort(key=lambda one: one[0])
        self.starts = [one[0] for one in found]
        self.found = found
        self.cache = {}

    def load(self, module, path, sections):
        """Add the functions of a module; `sections`: {name: address}."""
        # The kernel frees a module's .init sections after the load, and reuses the addresses.
        sections = {name: at for name, at in sections.items() if not name.startswith(".init")}
        for section, offset, name, _ in code_symbols(path):
            if section in sections:
                self.modules.append((sections[section] + offset, name, module))
        for section, address in sections.items():
            self.places.append((address, module, section))
        self.places.sort()
        self._index()

    def find(self, address):
        """(start, name, module) of the function at an address."""
        if address not in self.cache:
            at = bisect.bisect_right(self.starts, address) - 1
            self.cache[address] = self.found[at] if at >= 0 else (address, "?", "")
        return self.cache[address]

    def place(self, address):
        """(module, section, offset) of an address in a module."""
        at = bisect.bisect_right(self.places, (address, "~", "~")) - 1
        start, module, section = self.places[at]
        return module, section, address - start


HASH = re.compile(r"\[[0-9a-f]{5,16}\]")


def plain(text):
    """A demangled name without crate hashes and `rnvme::`."""
    return HASH.sub("", text).replace("rnvme::", "")


def readable(names):
    """{mangled: readable} of functions; names of C stay as they are."""
    names = list(names)
    text = run("c++filt", text="\n".join(names) + "\n")
    return {name: plain(shown) if name.startswith("_R") else name
            for name, shown in zip(names, text.splitlines())}
