/*
 * hak.h - what the tests of the allocator's rooms share: the malloc family under its test names,
 * the counters as sums over all blocks, faults in the operating system's memory, threads.
 *
 * The library is started by a constructor of the test program. BOOT(id, "NAME=value") puts a
 * variable into its environment before that; EARLY(function) runs something before it.
 */
#ifndef HAK_TESTS_HAK_H
#define HAK_TESTS_HAK_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "core/abi.h"
#include "core/config.h"
#include "core/counters.h"
#include "core/policy.h"
#include "os/os.h"
#include "os/page.h"
#include "slab/sizeclass.h"

void *hak_malloc(size_t bytes);
void hak_free(void *block);
void *hak_calloc(size_t count, size_t size);
void *hak_realloc(void *block, size_t bytes);
void *hak_reallocarray(void *block, size_t count, size_t size);
void *hak_aligned_alloc(size_t align, size_t bytes);
void *hak_memalign(size_t align, size_t bytes);
int hak_posix_memalign(void **out, size_t align, size_t bytes);
void *hak_valloc(size_t bytes);
void *hak_pvalloc(size_t bytes);
size_t hak_malloc_usable_size(void *block);

void hak_library_start(void);
__attribute__((constructor(300))) static void start_library_early(void) {
    hak_library_start();
}

#define EARLY(function) \
    __attribute__((constructor(200))) static void function##_early(void) { \
        function(); \
    }
#define BOOT(id, text) \
    __attribute__((constructor(200))) static void boot_##id(void) { \
        putenv((char *)text); \
    }

/* ---- counters ----------------------------------------------------------------------- */

/* Sum of the words from..to of every block; a pair has two, everything else one. */
__attribute__((unused)) static int64_t sum_of_class(unsigned c, int from, int to) {
    uint64_t sum = 0;
    uint32_t used = hak_page() != NULL ? hak_page()->blocks_used : 1;
    for (uint32_t i = 0; i < used; i++) {
        struct hak_block *block = i == 0 ? hak_process_block : hak_page_block(i);
        for (int w = from; block != NULL && w <= to; w++)
            sum += hak_load_relaxed(&block->class[c][w]);
    }
    return (int64_t)sum;
}

__attribute__((unused)) static int64_t sum_of_scalar(int word) {
    uint64_t sum = 0;
    uint32_t used = hak_page() != NULL ? hak_page()->blocks_used : 1;
    for (uint32_t i = 0; i < used; i++) {
        struct hak_block *block = i == 0 ? hak_process_block : hak_page_block(i);
        if (block != NULL)
            sum += hak_load_relaxed(&block->scalar[word]);
    }
    return (int64_t)sum;
}

#define COUNT(id) sum_of_scalar(HAK_SCALAR_##id)
#define CLASS_COUNT(c, id) sum_of_class((c), HAK_CLASS_##id, HAK_CLASS_##id##_last)

/* Blocks of the class that the program holds: handed out, not yet freed (counters.def). */
__attribute__((unused)) static int64_t live_of(unsigned c) {
    return CLASS_COUNT(c, front_pops) + CLASS_COUNT(c, direct_allocs) +
           CLASS_COUNT(c, legacy_allocs) - CLASS_COUNT(c, front_pushes) -
           CLASS_COUNT(c, remote_frees) - CLASS_COUNT(c, direct_frees) -
           CLASS_COUNT(c, legacy_frees);
}

/* ---- knobs ---------------------------------------------------------------------------- */

/* The value of any knob from now on, also of a boot knob that is read where it is used. */
#define SET_KNOB(id, v) (hak_config[HAK_KNOB_##id].value = (v), publish_policy())
#define SET_KNOB_AT(id, index, v) \
    (hak_config[HAK_KNOB_##id + (index)].value = (v), publish_policy())

__attribute__((unused)) static void publish_policy(void) {
    hak_policy_publish(hak_classes.size, hak_classes.tiny_count, hak_classes.count);
}

/* ---- faults ----------------------------------------------------------------------------- */

/* Operations that can fail: the kinds below. From the call numbered
 * `from` (1 is the next) on, `count` of them fail. Set up by arm_faults() while one thread runs. */
enum fault_kind {
    FAULT_MAP = 1,
    FAULT_RESERVE = 2,
    FAULT_COMMIT = 4,
    FAULT_UNMAP = 8,
    FAULT_REMAP = 16,
    FAULT_ADVISE = 32,
    FAULT_ALL = 63
};

static struct {
    unsigned kinds;
    long from, count, calls, failed;
} fault;

static struct hak_os_ops real_os;

__attribute__((unused)) static int fault_now(unsigned kind) {
    if (!(fault.kinds & kind))
        return 0;
    long call = __atomic_add_fetch(&fault.calls, 1, __ATOMIC_RELAXED);
    if (call < fault.from || call - fault.from >= fault.count)
        return 0;
    __atomic_add_fetch(&fault.failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return 1;
}

static void *faulty_map(void *hint, size_t bytes) {
    return fault_now(FAULT_MAP) ? NULL : real_os.map(hint, bytes);
}

static void *faulty_reserve(size_t bytes) {
    return fault_now(FAULT_RESERVE) ? NULL : real_os.reserve(bytes);
}

static int faulty_commit(void *address, size_t bytes) {
    return fault_now(FAULT_COMMIT) ? -1 : real_os.commit(address, bytes);
}

static int faulty_unmap(void *address, size_t bytes) {
    return fault_now(FAULT_UNMAP) ? -1 : real_os.unmap(address, bytes);
}

static void *faulty_remap(void *address, size_t old_bytes, size_t new_bytes, void *to) {
    return fault_now(FAULT_REMAP) ? NULL : real_os.remap(address, old_bytes, new_bytes, to);
}

static int faulty_advise(void *address, size_t bytes, int advice) {
    return fault_now(FAULT_ADVISE) ? -1 : real_os.advise(address, bytes, advice);
}

__attribute__((unused)) static void arm_faults(unsigned kinds, long from, long count) {
    if (real_os.map == NULL) {
        real_os = hak_os;
        hak_os.map = faulty_map;
        hak_os.reserve = faulty_reserve;
        hak_os.commit = faulty_commit;
        hak_os.unmap = faulty_unmap;
        hak_os.remap = faulty_remap;
        hak_os.advise = faulty_advise;
    }
    fault.kinds = kinds;
    fault.from = from;
    fault.count = count;
    fault.calls = fault.failed = 0;
}

/* Nothing fails any more; returns how many calls have. */
__attribute__((unused)) static long disarm_faults(void) {
    fault.kinds = 0;
    return fault.failed;
}

/* ---- threads ------------------------------------------------------------------------------ */

__attribute__((unused)) static void run_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0 || pthread_join(thread, NULL) != 0)
        abort();
}

/* Runs `count` threads, each with the address of its element of `arguments`, and waits. */
__attribute__((unused)) static void run_threads(unsigned count, void *(*body)(void *),
                                                void *arguments, size_t argument_bytes) {
    pthread_t threads[64];
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, body, (char *)arguments + i * argument_bytes) != 0)
            abort();
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* Tests that repeat run `usual` rounds, and twenty times as many under HAK_LONG=1. */
__attribute__((unused)) static unsigned rounds_of(unsigned usual) {
    const char *long_run = getenv("HAK_LONG");
    return long_run != NULL && *long_run == '1' ? usual * 20 : usual;
}

#endif
