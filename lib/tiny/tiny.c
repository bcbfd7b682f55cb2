#include "tiny/tiny.h"

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "slab/legacy.h"
#include "slab/remote.h"
#include "slab/shared_pool.h"
#include "tiny/bins.h"

uint32_t hak_tiny_heaps;

/* A thread's first refill of a class is small, and each next one twice as large: a
 * program that needs three blocks does not touch a page of them. */
#define FIRST_BATCH 4

/* ---- refill ------------------------------------------------------------------ */

/* From the thread's own slabs. Slabs that turn out full leave the list. */
static unsigned take_from_partial(struct hak_heap *heap, unsigned class, unsigned want, void **list)
{
    struct hak_tiny_bin *bin = &heap->bins[class];
    struct hak_slab *slab;
    while ((slab = bin->partial) != NULL) {
        if (slab->linked == NULL)
            hak_tiny_take_remote(heap, slab);
        unsigned got = hak_slab_take(slab, want, list);
        if (!hak_slab_has_room(slab))
            hak_tiny_take_remote(heap, slab); /* in no queue any more, it may still have some */
        if (!hak_slab_has_room(slab)) {
            hak_bin_remove_partial(bin, slab);
            hak_bin_add_full(bin, slab);
        }
        if (got != 0)
            return got;
    }
    return 0;
}

static unsigned batch_of(const struct hak_tiny_bin *bin, unsigned class)
{
    unsigned most = hak_policy_now()->front_refill[class];
    if (!hak_policy_now()->refill_ramp)
        return most;
    return (unsigned)hak_min(hak_max(bin->batch, FIRST_BATCH), most);
}

static int adopt_some(struct hak_heap *heap, unsigned class)
{
    for (int tries = 0; tries < 4; tries++) {
        struct hak_slab *slab = hak_pool_adopt(class, heap->tag, heap->block);
        if (slab == NULL)
            return 0;
        if (hak_slab_has_room(slab)) {
            hak_bin_add_partial(&heap->bins[class], slab);
            return 1;
        }
        hak_bin_add_full(&heap->bins[class], slab);
    }
    return 0;
}

/* One need for a slab in `adopt_period` looks into the mailbox first. */
static int is_turn_to_adopt(struct hak_heap *heap)
{
    const struct hak_policy *policy = hak_policy_now();
    return policy->must_adopt && heap->needs++ % policy->adopt_period == 0;
}

/* A slab from the shared pool becomes the first of the bin. */
static int acquire(struct hak_heap *heap, unsigned class, int may_be_new)
{
    if (!hak_knob(superslab_enable))
        return 0;
    struct hak_slab *slab =
        hak_pool_acquire(class, heap->tag, may_be_new, heap->block, &heap->outcome);
    if (slab == NULL)
        return 0;
    hak_bin_add_partial(&heap->bins[class], slab);
    return 1;
}

/* One of the two steps of a refill. */
typedef unsigned refill_step(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                             unsigned *source);

static unsigned take_used(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                          unsigned *source)
{
    unsigned got;
    *source = hak_tiny_drain_remote(heap, class) ? HAK_SOURCE_REMOTE : HAK_SOURCE_SLAB;
    if ((got = take_from_partial(heap, class, want, list)) != 0)
        return got;
    *source = HAK_SOURCE_ADOPT;
    if (is_turn_to_adopt(heap) && adopt_some(heap, class))
        return take_from_partial(heap, class, want, list);
    *source = HAK_SOURCE_SHARED;
    if (acquire(heap, class, 0))
        return take_from_partial(heap, class, want, list);
    *source = HAK_SOURCE_MIXED;
    return hak_tiny_take_mixed(heap, class, want, list, 0);
}

static unsigned take_new(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                         unsigned *source)
{
    *source = HAK_SOURCE_SLAB; /* blocks may have come home since the first step */
    unsigned got = take_from_partial(heap, class, want, list);
    if (got != 0)
        return got;
    *source = HAK_SOURCE_SHARED;
    if (acquire(heap, class, 0))
        return take_from_partial(heap, class, want, list);
    *source = HAK_SOURCE_MIXED;
    if ((got = hak_tiny_take_mixed(heap, class, want, list, 1)) != 0)
        return got;
    *source = HAK_SOURCE_SHARED;
    if (acquire(heap, class, 1))
        return take_from_partial(heap, class, want, list);
    *source = HAK_SOURCE_ADOPT;
    return adopt_some(heap, class) ? take_from_partial(heap, class, want, list) : 0;
}

void hak_tiny_count_refill(struct hak_heap *heap, unsigned class, unsigned got, unsigned source)
{
    hak_count_class(heap->block, class, refills, 1);
    hak_count_class(heap->block, class, refilled, got);
    hak_probe_refill(class, got, source);
}

static unsigned refill(struct hak_heap *heap, unsigned class, void **list, refill_step *step)
{
    unsigned source;
    hak_lock_take(&heap->lock);
    unsigned want = batch_of(&heap->bins[class], class);
    heap->outcome = (struct hak_pool_outcome){.stage = 0};
    unsigned got = step(heap, class, want, list, &source);
    if (got != 0)
        heap->bins[class].batch = want * 2;
    heap->turns++;
    hak_lock_release(&heap->lock);
    if (got == 0)
        return 0;
    hak_tiny_count_refill(heap, class, got, source);
    heap->path = source == HAK_SOURCE_SHARED  ? HAK_PATH_STAGE_0_5 + heap->outcome.stage
                 : source == HAK_SOURCE_MIXED ? HAK_PATH_MIXED
                                              : HAK_PATH_SLAB + source;
    return got;
}

unsigned hak_tiny_refill_used(struct hak_heap *heap, unsigned class, void **list)
{
    return refill(heap, class, list, take_used);
}

unsigned hak_tiny_refill_new(struct hak_heap *heap, unsigned class, void **list)
{
    return refill(heap, class, list, take_new);
}

unsigned hak_tiny_refill(struct hak_heap *heap, unsigned class, void **list)
{
    unsigned got = hak_tiny_refill_used(heap, class, list);
    return got != 0 ? got : hak_tiny_refill_new(heap, class, list);
}

_Static_assert(HAK_PATH_SLAB + HAK_SOURCE_REMOTE == HAK_PATH_REMOTE &&
                   HAK_PATH_SLAB + HAK_SOURCE_ADOPT == HAK_PATH_ADOPT &&
                   HAK_PATH_STAGE_0_5 + HAK_STAGE_NEW_SUPERSLAB == HAK_PATH_STAGE_3,
               "paths follow sources and stages in their order");

void *hak_tiny_fall_back(struct hak_heap *heap, unsigned class)
{
    const struct hak_pool_outcome *outcome = &heap->outcome;
    if (outcome->reason != 0) {
        hak_count_class(heap->block, class, shared_fail, 1);
        hak_probe_shared_fail(class, outcome->reason, outcome->active, outcome->cap);
    }
    return hak_legacy_alloc(class);
}

/* ---- threads that sleep ---------------------------------------------------------- */

/* All that ever were; never unmapped, open or not. */
static struct hak_heap *known[HAK_BLOCK_CAPACITY];
static uint32_t known_count;

/* So many are looked at by one call: there may be hundreds. */
#define VISITS 8

/* One that has not refilled since the last visit sleeps: awake, it takes in what others have
 * freed by itself, and cheaper. */
static void visit(struct hak_heap *heap)
{
    if (!hak_lock_try(&heap->lock))
        return;
    if (heap->is_open && heap->turns == heap->seen_turns)
        hak_tiny_drain_remote(heap, 0);
    heap->seen_turns = heap->turns;
    hak_lock_release(&heap->lock);
}

void hak_tiny_visit_others(const struct hak_heap *own)
{
    static uint32_t visits;
    if (hak_load_relaxed(&hak_tiny_heaps) < 2 || hak_lock_forking)
        return;
    uint32_t count = hak_load_relaxed(&known_count);
    for (uint32_t i = 0; i < hak_min(count, VISITS); i++) {
        struct hak_heap *heap = hak_load_acquire(&known[hak_add_relaxed(&visits, 1) % count]);
        if (heap != NULL && heap != own)
            visit(heap);
    }
}

/* ---- life ------------------------------------------------------------------------ */

void hak_tiny_start(struct hak_heap *heap, uint32_t tag, struct hak_block *block)
{
    heap->tag = tag;
    heap->block = block;
    heap->idle = 0;
    hak_outbox_start(heap);
    hak_add_relaxed(&hak_tiny_heaps, 1);
    hak_lock_take(&heap->lock);
    hak_remote_open(tag);
    heap->is_open = 1;
    hak_lock_release(&heap->lock);
    if (heap->is_known)
        return;
    heap->is_known = 1;
    hak_store_release(&known[hak_add_relaxed(&known_count, 1)], heap);
}

static void leave_slab(struct hak_heap *heap, struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    hak_bin_remove(bin, slab);
    hak_tiny_take_remote(heap, slab);
    if (slab->used == 0 && hak_knob(ss_empty_reuse) && !hak_remote_is_queued(slab))
        hak_pool_release(slab, heap->block);
    else
        hak_pool_publish(slab, heap->block);
}

void hak_tiny_end(struct hak_heap *heap)
{
    hak_tiny_flush_outbox(heap);
    hak_lock_take(&heap->lock);
    hak_tiny_drain_remote(heap, 0);
    for (unsigned c = 0; c < hak_classes.tiny_count; c++) {
        struct hak_tiny_bin *bin = &heap->bins[c];
        while (bin->partial != NULL)
            leave_slab(heap, bin, bin->partial);
        while (bin->full != NULL)
            leave_slab(heap, bin, bin->full);
        bin->batch = 0;
    }
    hak_remote_close(heap->tag);
    heap->is_open = 0;
    hak_lock_release(&heap->lock);
    hak_sub_relaxed(&hak_tiny_heaps, 1);
}

/* The child's other threads are gone: what one of them held stays held, and is let alone. */
void hak_tiny_fork_prepare(struct hak_heap *heap)
{
    if (heap != NULL)
        hak_lock_take(&heap->lock);
}

void hak_tiny_fork_done(struct hak_heap *heap, int in_child)
{
    if (heap == NULL)
        return;
    hak_lock_fork_done(&heap->lock, in_child);
}
