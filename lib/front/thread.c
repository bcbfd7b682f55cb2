/*
 * thread.c - the start of the library, the life of a thread, and fork.
 *
 * Heaps and counter blocks are handed out by index; index + 0 is the owner tag. They are
 * reused and never freed, since others may hold a tag for a moment after its thread is
 * gone.
 */
#define _GNU_SOURCE
#include "front/front.h"

#include <pthread.h>

#include "core/config.h"
#include "front/control.h"
#include "front/learning.h"
#include "front/nested.h"
#include "front/sites.h"
#include "mid/ace.h"
#include "mid/big.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/page.h"
#include "slab/legacy.h"
#include "slab/sampled.h"
#include "slab/shared_pool.h"

#define HEAPS_PER_MAPPING 16

static struct {
    struct hak_lock lock;
    uint32_t free_tag; /* the one that was given last; 0: none */
    uint32_t last_tag; /* the highest that was ever used */
    uint32_t spare_count;
    struct hak_heap *spare;
    struct {
        struct hak_heap *heap;
        uint32_t next_free;
    } tag[HAK_BLOCK_CAPACITY]; /* 0 is nobody's */
} threads;

static struct {
    struct hak_lock lock;
    uint32_t started;
    pthread_key_t key;
    int has_key;
} library;

/* ---- the library --------------------------------------------------------------- */

static void end_thread(void *round);
static void fork_prepare(void);
static void fork_parent(void);
static void fork_child(void);

static void start_page(void)
{
    struct hak_class_info info[HAK_CLASS_CAPACITY];
    for (unsigned c = 0; c < hak_classes.count; c++) {
        info[c].size_bytes = hak_classes.size[c];
        info[c].tier = (c >= hak_classes.tiny_count) + (hak_classes.size[c] > HAK_MID_MAX_BYTES);
    }
    hak_page_make(info, hak_classes.count, hak_classes.tiny_count, (int)hak_knob(page));
}

static void start_library(void)
{
    hak_config_load(hak_os_environment());
    hak_classes_build(&hak_classes, (enum hak_geometry)hak_knob(tiny_geometry),
                      (size_t)hak_knob(mmap_threshold));
    hak_zone_start();
    start_page();
    hak_sites_start();
    hak_control_start();
    hak_learning_show_rest();
    hak_report_start();
    /* As early as can be: prepare handlers run last to first, so that other libraries'
     * may still allocate before ours takes the locks, and their child handlers after. */
    pthread_atfork(fork_prepare, fork_parent, fork_child);
    library.has_key = pthread_key_create(&library.key, end_thread) == 0;
}

HAK_NOINLINE void hak_library_start(void)
{
    if (hak_likely(hak_load_acquire(&library.started)))
        return;
    int entered = hak_slow_enter(&hak_front);
    hak_lock_take(&library.lock);
    if (!library.started) {
        start_library();
        hak_store_release(&library.started, 1);
    }
    hak_lock_release(&library.lock);
    if (entered)
        hak_slow_leave(&hak_front);
}

/* ---- threads --------------------------------------------------------------------- */

static struct hak_heap *heap_for(uint32_t tag)
{
    if (threads.tag[tag].heap != NULL)
        return threads.tag[tag].heap;
    if (threads.spare_count == 0) {
        size_t bytes = hak_align_up(HEAPS_PER_MAPPING * sizeof(struct hak_heap), HAK_PAGE_BYTES);
        threads.spare = hak_os.map(NULL, bytes);
        if (threads.spare == NULL)
            return NULL;
        threads.spare_count = HEAPS_PER_MAPPING;
    }
    threads.spare_count--;
    return threads.tag[tag].heap = threads.spare++;
}

static uint32_t take_tag(void)
{
    uint32_t tag = threads.free_tag;
    if (tag != 0) {
        threads.free_tag = threads.tag[tag].next_free;
        return tag;
    }
    return threads.last_tag + 1 < HAK_BLOCK_CAPACITY ? ++threads.last_tag : 0;
}

static void give_tag(uint32_t tag)
{
    threads.tag[tag].next_free = threads.free_tag;
    threads.free_tag = tag;
}

static void open_classes(struct hak_front *front, unsigned end)
{
    for (; front->classes < end; front->classes++) {
        unsigned c = front->classes;
        /* Blocks above Tiny come into a list by the first free already, whose ever they were. */
        uint32_t cap = c < hak_classes.tiny_count ? hak_policy_now()->front_cap[c] : 1;
        hak_pair_arm(hak_pair_base(front->block, c, front_pushes), cap != 0 ? cap : 1);
    }
}

static void open_front(struct hak_front *front, struct hak_heap *heap)
{
    front->block = heap->block;
    front->heap = heap;
    front->classes = 0;
    if (hak_knob(front_enable))
        front->own_word = hak_unit_word(heap->tag, 0);
    open_classes(front, hak_classes.tiny_count);
}

/* Single blocks serve a program that comes there a few times only, to print something. */
#define CALLS_WITHOUT_LISTS 16

void hak_front_come_above(struct hak_front *front)
{
    if (hak_likely(front->classes == hak_classes.count) || front->heap == NULL ||
        ++front->above_tiny < CALLS_WITHOUT_LISTS)
        return;
    open_classes(front, hak_classes.count);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* a handler may free at once */
    if (hak_knob(front_enable) && hak_knob(mid_front))
        front->shared_word = hak_unit_word(HAK_TAG_SHARED, 0);
}

static int start_thread(void)
{
    struct hak_heap *heap = NULL;
    struct hak_block *block = NULL;
    hak_library_start();
    hak_lock_take(&threads.lock);
    uint32_t tag = take_tag();
    if (tag != 0) {
        heap = heap_for(tag);
        block = heap != NULL ? hak_page_block(tag) : NULL;
        if (block == NULL)
            give_tag(tag);
    }
    hak_lock_release(&threads.lock);
    if (block == NULL)
        return -ENOMEM;
    hak_tiny_start(heap, tag, block);
    open_front(&hak_front, heap);
    hak_count_scalar(block, threads_started, 1);
    if (library.has_key) { /* may allocate: the front is open by now */
        uint32_t before = hak_slow_pause(&hak_front);
        pthread_setspecific(library.key, (void *)1);
        hak_slow_go_on(&hak_front, before);
    }
    hak_sample_start();
    return 0;
}

int hak_thread_start(void)
{
    int entered = hak_slow_enter(&hak_front);
    int error = start_thread();
    if (entered)
        hak_slow_leave(&hak_front);
    return error;
}

HAK_API void *malloc(size_t bytes);

/* What the program's first call would otherwise pay for; whoever allocates before this, as
 * the loader and other constructors do, has started it by then. A program with threads of
 * its own finds the learner's there from the start. A tool that opens the library to read its
 * tables has another malloc, and starts nothing. */
__attribute__((constructor)) static void start_early(void)
{
    if (malloc != hak_own_malloc)
        return;
    if (hak_front.heap == NULL)
        hak_thread_start();
    hak_learning_start();
}

/* Other TLS destructors may still allocate after us, so let them go first: a key whose
 * destructor sets it again is visited again. */
#define ROUNDS_TO_WAIT 2

static void end_thread(void *round)
{
    struct hak_front *front = &hak_front;
    if ((uintptr_t)round <= ROUNDS_TO_WAIT) {
        pthread_setspecific(library.key, (void *)((uintptr_t)round + 1));
        return;
    }
    struct hak_heap *heap = front->heap;
    if (heap == NULL || !hak_slow_enter(front))
        return;
    hak_front_empty_all();
    hak_tiny_end(heap);
    hak_count_scalar(heap->block, threads_ended, 1);
    front->own_word = front->shared_word = HAK_NO_WORD;
    front->heap = NULL;
    front->block = NULL; /* it will be another thread's */
    front->ended = 1;
    hak_lock_take(&threads.lock);
    hak_page_retire(heap->block, front->classes);
    give_tag(heap->tag);
    hak_lock_release(&threads.lock);
    hak_slow_leave(front);
}

/* ---- fork --------------------------------------------------------------------------- */

static void fork_prepare(void)
{
    int entered = hak_slow_enter(&hak_front);
    hak_front_fork_prepare();
    hak_learning_fork_prepare();
    hak_sites_fork_prepare();
    hak_lock_take(&threads.lock);
    hak_sample_fork_prepare();
    hak_tiny_fork_prepare(hak_front.heap);
    hak_pool_fork_prepare();
    hak_legacy_fork_prepare();
    hak_sampled_fork_prepare();
    hak_big_fork_prepare(); /* before ace: without an mmap path it takes spans under its lock */
    hak_ace_fork_prepare();
    hak_zone_fork_prepare();
    hak_lock_forking = 1;
    if (entered) /* other libraries' handlers may allocate */
        hak_slow_leave(&hak_front);
}

static void fork_done(int in_child)
{
    hak_lock_forking = 0;
    hak_zone_fork_done(in_child);
    hak_ace_fork_done(in_child);
    hak_big_fork_done(in_child);
    hak_sampled_fork_done(in_child);
    hak_legacy_fork_done(in_child);
    hak_pool_fork_done(in_child);
    hak_tiny_fork_done(hak_front.heap, in_child);
    hak_sample_fork_done(in_child);
    hak_lock_fork_done(&threads.lock, in_child);
}

static void fork_parent(void)
{
    int entered = hak_slow_enter(&hak_front);
    fork_done(0);
    hak_sites_fork_done(0);
    hak_learning_fork_done(0);
    if (entered)
        hak_slow_leave(&hak_front);
}

/* The slabs of the threads that are gone stay as they are: one may have been halfway
 * through a refill. */
static void fork_child(void)
{
    int entered = hak_slow_enter(&hak_front);
    fork_done(1);
    hak_page_refork(hak_front.heap != NULL ? hak_front.block : NULL);
    hak_front_fork_child();
    hak_sample_fork_child();
    hak_control_fork_child();
    hak_sites_fork_done(1);
    hak_learning_fork_done(1);
    if (entered)
        hak_slow_leave(&hak_front);
}

