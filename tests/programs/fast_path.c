/*
 * Looks at every instruction that a malloc and a free execute when they hit the thread's list, by
 * the processor's trap flag, and prints one line per call:
 *
 *     malloc 64: 21 instructions, 0 outside, 0 locked, 0 system calls, 0 clocks
 *
 * "outside" are instructions that lie in another object than malloc itself; a locked one has the
 * lock prefix or is an xchg with memory. It is the shortest of a few looks, for once in a while a
 * list is full or a sample is due. Numbers on the command line are the sizes.
 *
 * With "pairs COUNT SIZE" it makes so many pairs of calls and prints nothing, for callgrind.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <ucontext.h>

#include "program.h"

enum { MOST = 100000, WARM = 100, LOOKS = 9 };

static uintptr_t steps[MOST];
static unsigned count;
static uintptr_t text_from, text_to;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    if (count < MOST)
        steps[count++] = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

static int find_text(struct dl_phdr_info *object, size_t bytes, void *inside) {
    (void)bytes;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t from = object->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0 &&
            (uintptr_t)inside - from < part->p_memsz) {
            text_from = from;
            text_to = from + part->p_memsz;
            return 1;
        }
    }
    return 0;
}

struct found {
    unsigned instructions, outside, locked, calls, clocks;
};

static int is_prefix(unsigned char byte) {
    return byte == 0x66 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e || byte == 0x3e ||
           byte == 0x64 || byte == 0x65 || byte == 0xf0 || (byte & 0xf0) == 0x40;
}

static void judge(const unsigned char *code, struct found *found) {
    int is_locked = 0;
    for (; is_prefix(*code); code++)
        is_locked |= *code == 0xf0;
    if ((*code == 0x86 || *code == 0x87) && code[1] < 0xc0)
        is_locked = 1;
    found->locked += (unsigned)is_locked;
    if (*code == 0x0f) {
        found->calls += code[1] == 0x05 || code[1] == 0x34;
        found->clocks += code[1] == 0x31 || (code[1] == 0x01 && code[2] == 0xf9);
    }
    found->calls += *code == 0xcd;
}

static struct found sum_up(void) {
    struct found found = {0};
    for (unsigned i = 0; i < count; i++) {
        int is_inside = steps[i] - text_from < text_to - text_from;
        found.instructions += (unsigned)is_inside;
        found.outside += (unsigned)!is_inside;
        if (is_inside)
            judge((const unsigned char *)steps[i], &found);
    }
    return found;
}

static void keep_shortest(struct found *shortest) {
    struct found found = sum_up();
    if (shortest->instructions == 0 || found.instructions < shortest->instructions)
        *shortest = found;
}

static void tell(const char *function, size_t bytes, const struct found *found) {
    printf("%s %zu: %u instructions, %u outside, %u locked, %u system calls, %u clocks\n",
           function, bytes, found->instructions, found->outside, found->locked, found->calls,
           found->clocks);
}

/* By pointer, so that no instruction of the dynamic linker comes between. */
static void *(*volatile call_malloc)(size_t) = malloc;
static void (*volatile call_free)(void *) = free;

static void make_pairs(size_t pairs, size_t bytes) {
    for (size_t i = 0; i < pairs; i++)
        call_free(call_malloc(bytes));
}

static void look_at(size_t bytes) {
    struct found in_malloc = {0}, in_free = {0};
    for (int i = 0; i < LOOKS; i++) {
        make_pairs(WARM, bytes);
        count = 0;
        STEP_ON();
        void *block = call_malloc(bytes);
        STEP_OFF();
        keep_shortest(&in_malloc);
        count = 0;
        STEP_ON();
        call_free(block);
        STEP_OFF();
        keep_shortest(&in_free);
    }
    tell("malloc", bytes, &in_malloc);
    tell("free", bytes, &in_free);
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    if (argc == 4 && strcmp(argv[1], "pairs") == 0) {
        make_pairs(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
        return 0;
    }
    GUARD();
    setvbuf(stdout, NULL, _IOFBF, 4096);
    sigaction(SIGTRAP, &action, NULL);
    dl_iterate_phdr(find_text, (void *)(uintptr_t)call_malloc);
    for (int i = 1; i < argc; i++)
        look_at(strtoul(argv[i], NULL, 10));
    return 0;
}
