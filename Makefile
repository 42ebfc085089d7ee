# SPDX-License-Identifier: GPL-2.0
#
# The module for the running kernel or another:   make KDIR=/lib/modules/$(uname -r)/build
# The module for Debian's stock kernel, in a build root of our own:   make
#
# What the kernel's build system reads is in Kbuild.

.PHONY: modules run check model fuzz soak profile bench bench-baseline shell fmt lint doc clean help rust-analyzer

ifdef KDIR
modules:
	@scripts/check-kdir "$(KDIR)"
	@mkdir -p build
	$(MAKE) -C "$(KDIR)" $(if $(shell grep -s CONFIG_CC_IS_CLANG=y "$(KDIR)/.config"),LLVM=1) \
		M="$(CURDIR)" MO="$(CURDIR)/build" modules
else
modules:
	@scripts/build stock
	@mkdir -p build
	@scripts/root cp /cache/build/stock/rnvme.ko /rnvme/build/rnvme.ko
	@echo "build/rnvme.ko"
endif

run:
	@scripts/run

check:
	@scripts/check

model:
	@scripts/model

soak:
	@scripts/soak

fuzz:
	@scripts/fuzz $(if $(SEED),--seed $(SEED)) $(if $(TIME),--time $(TIME))

profile-names := OP BS QD DRIVER POLL DBBUF OFFSET FIXED JOBS BATCH ASM ALL KERNEL
profile:
	@scripts/profile $(foreach name,$(profile-names),$(if $($(name)),$(name)=$($(name))))

bench-names := QUICK CELLS PAIRS PARTS JOBS AGAIN DEVICE ERASE
bench:
	@scripts/bench $(foreach name,$(bench-names),$(if $($(name)),$(name)='$($(name))'))

bench-baseline:
	@scripts/bench BASELINE=1

shell:
	@scripts/shell

fmt:
	@scripts/fmt

lint:
	@scripts/lint

doc:
	@scripts/doc

rust-analyzer:
	@scripts/rust-analyzer

clean:
	@scripts/clean

help:
	@echo "make                  build/rnvme.ko for Debian's stock kernel (set up in the cache)"
	@echo "make KDIR=...         build/rnvme.ko for your own kernel's tree, with your own tools"
	@echo "make run              see the driver serve verified I/O in a guest"
	@echo "make check            all tests: lint, models, KUnit, guest tests on two kernels"
	@echo "make model            the lock-free protocols in each order of their steps, under loom"
	@echo "make soak             binds, resets, unplugs, sleeps, hibernations: hundreds of them; more than an hour"
	@echo "make fuzz             a hostile controller for TIME= seconds as SEED= says"
	@echo "make profile          what one kind of I/O costs, function by function: OP=read BS=4k QD=1"
	@echo "                      DRIVER=rnvme|nvme|both POLL=1 DBBUF=1 ASM=1 ALL=1 KERNEL=inline (docs/PERFORMANCE.md)"
	@echo "make bench            rnvme against the kernel's nvme driver: bench/report.html, results.json"
	@echo "                      QUICK=1, CELLS=full|standard|REGEX, PAIRS=16, PARTS=cost,scaling,time,memory"
	@echo "                      DEVICE=0000:01:00.0: times on a spare drive, whose contents are lost"
	@echo "make bench-baseline   make the present cost of an I/O what make check compares with"
	@echo "make shell            an interactive guest with the driver loaded"
	@echo "make fmt              format the Rust source as the kernel does"
	@echo "make lint             rustfmt, clippy, rustdoc, shellcheck; layers, unsafe, names, locks, words"
	@echo "make doc              the source's documentation as HTML, in build/doc"
	@echo "make rust-analyzer    rust-project.json for editors"
	@echo "make clean            remove what was built of the module (the cache's kernels stay)"
	@echo "make help             this"
