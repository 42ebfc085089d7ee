// SPDX-License-Identifier: GPL-2.0
/*
 * A TCG plugin of QEMU: counts how often the guest executes each block of its kernel,
 * in regions of time. The guest executes a marking instruction where a region begins
 * and where it ends.
 *
 *     -plugin count.so,out=FILE[,cpus=N][,modules=ADDRESS]
 *
 * With cpus=N only the first N CPUs count: the measured jobs run there, the guest's
 * other work may run on the other CPUs. Modules are from ADDRESS on; the default is for
 * a kernel with RANDOMIZE_BASE.
 *
 * It is in C because QEMU's plugin interface is. Debian ships no header of it, so the
 * functions used are declared here (API version 7, the only one that QEMU 11.1 accepts).
 *
 * The file is a sequence of records, native byte order, no padding:
 *
 *     'B' u32 block, u64 address, u16 n, u8 insns[n]     a block was translated:
 *                                                       insns: size | ATOMIC
 *     'C' u32 n, n times (u32 block, u64 count)         executions in the region
 *     'U' u64 count                                     instructions of programs
 *     'D' u64 address, u64 count                        interrupts taken, by entry
 *     'W' u64 physical address, u64 count               register writes of modules
 *     'M' u32 number                                    the end of a region
 *     'E'                                               something did not fit
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------- QEMU's interface, version 7 --- */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
struct qemu_plugin_hwaddr;

typedef struct {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;

enum { INLINE_ADD_U64 = 0 };
enum { CB_NO_REGS = 0 };
enum { MEM_W = 2 };
enum { DISCON_INTERRUPT = 1 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
	void (*cb)(struct qemu_plugin_tb *tb, void *data), void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*cb)(void *data), void *data);
void qemu_plugin_register_vcpu_discon_cb(uint64_t id, int type,
	void (*cb)(unsigned int vcpu, int type, uint64_t from, uint64_t to, void *data), void *data);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb, int op,
	qemu_plugin_u64 entry, uint64_t value);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *insn, int op,
	qemu_plugin_u64 entry, uint64_t value);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
	void (*cb)(unsigned int vcpu, void *data), int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
	void (*cb)(unsigned int vcpu, uint32_t info, uint64_t address, void *data),
	int flags, int rw, void *data);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *address);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t at);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t size);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *score, unsigned int vcpu);
int qemu_plugin_num_vcpus(void);

__attribute__((visibility("default"))) int qemu_plugin_version = 7;

/* ------------------------------------------------------------------ state --- */

/* Instructions of a block: QEMU's TCG_MAX_INSNS. */
#define MOST 512
/* The most blocks; the first one stands for all user space. */
#define BLOCKS (1u << 18)
#define TABLE (BLOCKS * 2)
#define PLACES 1024
#define ATOMIC 0x80
#define KERNEL 0xffff800000000000ull

struct block {
	uint64_t address;
	uint64_t shape;
};

struct place {
	uint64_t address;
	uint64_t count, told;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *out;
static struct qemu_plugin_scoreboard *score;
static struct block blocks[BLOCKS];
static uint64_t told[BLOCKS];
static uint32_t table[TABLE];
static uint32_t used = 1;
static uint32_t marks;
static unsigned int cpus = ~0u;
static uint64_t modules = 0xffffffffc0000000ull;
static struct place interrupts[PLACES], writes[PLACES];

static void put(char kind, const void *data, size_t size)
{
	fputc(kind, out);
	fwrite(data, size, 1, out);
}

static void put_pair(char kind, uint64_t address, uint64_t count)
{
	uint64_t pair[2] = { address, count };

	put(kind, pair, sizeof(pair));
}

static void complain(void)
{
	fputc('E', out);
}

/* ------------------------------------------------------------------ marks --- */

static uint64_t executed(uint32_t block)
{
	uint64_t sum = 0;
	unsigned int vcpu, last = qemu_plugin_num_vcpus();

	for (vcpu = 0; vcpu < last && vcpu < cpus; vcpu++)
		sum += ((uint64_t *)qemu_plugin_scoreboard_find(score, vcpu))[block];
	return sum;
}

static void tell_places(char kind, struct place *places, bool end)
{
	for (int at = 0; at < PLACES; at++) {
		if (end && places[at].count != places[at].told)
			put_pair(kind, places[at].address, places[at].count - places[at].told);
		places[at].told = places[at].count;
	}
}

static void tell_blocks(bool end)
{
	static struct {
		uint32_t block;
		uint64_t count;
	} __attribute__((packed)) changed[BLOCKS];
	uint64_t programs = executed(0) - told[0];
	uint32_t n = 0;

	told[0] += programs;
	for (uint32_t block = 1; block < used; block++) {
		uint64_t sum = executed(block);

		if (sum == told[block])
			continue;
		changed[n].block = block;
		changed[n++].count = sum - told[block];
		told[block] = sum;
	}
	if (!end)
		return;
	put('U', &programs, sizeof(programs));
	put('C', &n, sizeof(n));
	fwrite(changed, sizeof(*changed), n, out);
}

/* The guest executes the marking instruction: a region begins, or ends. */
static void on_mark(unsigned int vcpu, void *data)
{
	bool end;

	pthread_mutex_lock(&lock);
	end = marks++ % 2;
	tell_blocks(end);
	tell_places('D', interrupts, end);
	tell_places('W', writes, end);
	if (end) {
		uint32_t region = marks / 2 - 1;

		put('M', &region, sizeof(region));
		fflush(out);
	}
	pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------- interrupts, registers --- */

static void count_place(struct place *places, uint64_t address)
{
	uint32_t at = (address >> 2) * 2654435761u % PLACES;

	pthread_mutex_lock(&lock);
	for (int tries = 0; tries < PLACES; tries++, at = (at + 1) % PLACES) {
		if (!places[at].count)
			places[at].address = address;
		if (places[at].address == address) {
			places[at].count++;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

static void on_interrupt(unsigned int vcpu, int type, uint64_t from, uint64_t to, void *data)
{
	if (vcpu < cpus)
		count_place(interrupts, to);
}

static void on_store(unsigned int vcpu, uint32_t info, uint64_t address, void *data)
{
	struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);

	if (vcpu < cpus && where && qemu_plugin_hwaddr_is_io(where))
		count_place(writes, qemu_plugin_hwaddr_phys_addr(where));
}

/* ------------------------------------------------------------ translation --- */

/* nopl MARK(%rax,%rax): does nothing, and no compiler emits it. */
static bool is_mark(const uint8_t *code, size_t size)
{
	static const uint8_t mark[8] = { 0x0f, 0x1f, 0x84, 0x00, 'R', 'N', 'V', 'M' };

	return size == sizeof(mark) && !memcmp(code, mark, size);
}

/* Whether an instruction locks the bus: LOCK, or XCHG with memory. */
static bool is_atomic(const uint8_t *code, size_t size)
{
	size_t at = 0;

	for (; at + 2 < size; at++) {
		if (code[at] == 0xf0)
			return true;
		if (code[at] != 0x66 && code[at] != 0x2e && code[at] != 0x3e && code[at] != 0x65 &&
		    code[at] != 0xf2 && code[at] != 0xf3 && (code[at] & 0xf0) != 0x40)
			break;
	}
	return at + 1 < size && (code[at] & 0xfe) == 0x86 && code[at + 1] < 0xc0;
}

/*
 * The number of a block. A block keeps its number when it is translated again; other
 * code at the same address (another module, a patched branch) gets another number.
 */
static uint32_t number_of(uint64_t address, const uint8_t *insns, uint16_t n)
{
	uint64_t shape = n;
	uint32_t at, block = 0;

	for (int i = 0; i < n; i++)
		shape = shape * 1099511628211ull + insns[i];
	pthread_mutex_lock(&lock);
	for (at = (address * 11400714819323198485ull ^ shape) % TABLE; table[at]; at = (at + 1) % TABLE) {
		block = table[at];
		if (blocks[block].address == address && blocks[block].shape == shape)
			goto found;
	}
	if (used == BLOCKS) {
		complain();
		block = 0;
		goto found;
	}
	block = used++;
	blocks[block] = (struct block){ address, shape };
	table[at] = block;
	put('B', &block, sizeof(block));
	fwrite(&address, sizeof(address), 1, out);
	fwrite(&n, sizeof(n), 1, out);
	fwrite(insns, n, 1, out);
found:
	pthread_mutex_unlock(&lock);
	return block;
}

static void count_block(struct qemu_plugin_tb *tb, uint32_t block, uint64_t value)
{
	qemu_plugin_u64 counter = { score, sizeof(uint64_t) * block };

	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, INLINE_ADD_U64, counter, value);
}

static void count_insn(struct qemu_plugin_insn *insn, uint32_t block)
{
	qemu_plugin_u64 counter = { score, sizeof(uint64_t) * block };

	qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, INLINE_ADD_U64, counter, 1);
}

/*
 * Blocks of the kernel are counted as a whole, instructions of modules one by one: at a
 * device's register QEMU leaves a block in the middle and translates the rest as a new
 * block, so that counting blocks would count the rest twice.
 */
static void on_translate(struct qemu_plugin_tb *tb, void *data)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb), at = address;
	size_t n = qemu_plugin_tb_n_insns(tb);
	uint8_t insns[MOST], code[16];

	if (n > MOST) {
		complain();
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		size_t size = qemu_plugin_insn_data(insn, code, sizeof(code));

		if (address < KERNEL) {
			if (is_mark(code, size))
				qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, CB_NO_REGS, NULL);
			continue;
		}
		insns[i] = size | (is_atomic(code, size) ? ATOMIC : 0);
		if (address >= modules) {
			count_insn(insn, number_of(at, &insns[i], 1));
			qemu_plugin_register_vcpu_mem_cb(insn, on_store, CB_NO_REGS, MEM_W, NULL);
		}
		at += size;
	}
	if (address < KERNEL)
		count_block(tb, 0, n);
	else if (address < modules)
		count_block(tb, number_of(address, insns, n), 1);
}

static void on_exit_of_qemu(void *data)
{
	fclose(out);
}

__attribute__((visibility("default")))
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	for (int at = 0; at < argc; at++) {
		if (!strncmp(argv[at], "out=", 4))
			out = fopen(argv[at] + 4, "wb");
		else if (!strncmp(argv[at], "cpus=", 5))
			cpus = atoi(argv[at] + 5);
		else if (!strncmp(argv[at], "modules=", 8))
			modules = strtoull(argv[at] + 8, NULL, 0);
	}
	if (!out) {
		fputs("count.so: needs out=FILE\n", stderr);
		return -1;
	}
	score = qemu_plugin_scoreboard_new(sizeof(uint64_t) * BLOCKS);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, NULL);
	qemu_plugin_register_vcpu_discon_cb(id, DISCON_INTERRUPT, on_interrupt, NULL);
	qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
	return 0;
}
