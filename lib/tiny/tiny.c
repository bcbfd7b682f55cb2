#include "tiny/tiny.h"

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "slab/home.h"
#include "slab/legacy.h"
#include "slab/remote.h"
#include "slab/shared_pool.h"

/* A thread's first refill of a class is small, and each next one twice as large: a
 * program that needs three blocks does not touch a page of them. */
#define FIRST_BATCH 4

/* Partly used slabs beyond these go to the mailbox: other threads need them more. */
#define KEPT_PARTIAL 32

/* ---- lists of slabs -------------------------------------------------------- */

static void link_slab(struct hak_slab **list, struct hak_slab *slab)
{
    slab->prev = NULL;
    slab->next = *list;
    if (slab->next != NULL)
        slab->next->prev = slab;
    *list = slab;
}

static void unlink_slab(struct hak_slab **list, struct hak_slab *slab)
{
    if (slab->prev != NULL)
        slab->prev->next = slab->next;
    else
        *list = slab->next;
    if (slab->next != NULL)
        slab->next->prev = slab->prev;
}

static void add_partial(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    slab->full = 0;
    link_slab(&bin->partial, slab);
    if (slab->next == NULL)
        bin->last = slab;
    bin->partial_count++;
}

static void remove_partial(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    if (bin->last == slab)
        bin->last = slab->prev;
    unlink_slab(&bin->partial, slab);
    bin->partial_count--;
}

static void add_full(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    slab->full = 1;
    link_slab(&bin->full, slab);
}

static void remove_slab(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    if (slab->full)
        unlink_slab(&bin->full, slab);
    else
        remove_partial(bin, slab);
}

/* ---- blocks coming home ---------------------------------------------------- */

/* What others have freed goes to the slab. */
static void take_remote(struct hak_heap *heap, struct hak_slab *slab)
{
    unsigned count = hak_remote_take(slab);
    if (count == 0)
        return;
    hak_count_class(heap->block, slab->class, remote_drains, 1);
    hak_count_class(heap->block, slab->class, remote_drained, count);
    hak_probe_remote_drain(slab->class, count, slab->used == 0);
}

/* The edge EMPTY -> pool. A slab that waits in a remote queue is looked at again when it
 * comes out. The one that refills are served from stays: it would be back at once. */
static void release_if_empty(struct hak_heap *heap, struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    if (slab->used == hak_remote_count(slab)) /* the others are all on the remote list */
        take_remote(heap, slab);
    if (slab->used != 0 || !hak_knob(ss_empty_reuse) || hak_remote_is_queued(slab))
        return;
    if (slab == bin->partial && slab->next == NULL)
        return;
    remove_slab(bin, slab);
    hak_pool_release(slab, heap->block);
}

void hak_tiny_give_kept(struct hak_heap *heap, unsigned class)
{
    struct hak_tiny_bin *bin = &heap->bins[class];
    hak_lock_take(&heap->lock);
    struct hak_slab *slab = bin->partial;
    if (slab != NULL && slab->used == 0 && hak_knob(ss_empty_reuse) &&
        !hak_remote_is_queued(slab)) {
        remove_partial(bin, slab);
        hak_pool_release(slab, heap->block);
    }
    hak_lock_release(&heap->lock);
}

/* Heaps in use: a thread that is alone has nobody to leave slabs to. */
static uint32_t heaps;

static int publish_last(struct hak_heap *heap, struct hak_tiny_bin *bin)
{
    struct hak_slab *slab = bin->last;
    if (!hak_knob(ss_adopt) || slab->used == 0 || hak_load_relaxed(&heaps) < 2)
        return 0;
    remove_partial(bin, slab);
    hak_pool_publish(slab, heap->block);
    return 1;
}

static void publish_surplus(struct hak_heap *heap, struct hak_tiny_bin *bin)
{
    while (bin->partial_count > KEPT_PARTIAL && publish_last(heap, bin))
        ;
}

/* Blocks have just come home to the slab. */
static void came_home(struct hak_heap *heap, struct hak_slab *slab)
{
    struct hak_tiny_bin *bin = &heap->bins[slab->class];
    if (slab->full) {
        unlink_slab(&bin->full, slab);
        add_partial(bin, slab);
    }
    release_if_empty(heap, bin, slab);
}

/* A slab may have been published while blocks of it lay in the front. */
static int is_published(uint32_t word, unsigned class)
{
    uint32_t tag = word >> HAK_TAG_SHIFT;
    return word != 0 && (word & HAK_CLASS_MASK) == class &&
           (tag < HAK_BLOCK_CAPACITY || tag == HAK_TAG_NOBODY);
}

/* Tells what is wrong with a block that belongs to no slab, or whose slab does not take it. */
static HAK_COLD void refuse(const struct hak_heap *heap, unsigned class, const void *block)
{
    size_t unit = hak_unit_of(block);
    const struct hak_slab *slab = NULL;
    if (unit < hak_zone.units && hak_zone.map[unit] == hak_unit_word(heap->tag, class))
        slab = hak_slab_of_unit(unit);
    if (slab != NULL && hak_slab_holds(slab, block))
        hak_integrity(HAK_INTEGRITY_COUNT, block, slab->home, slab->used);
    else
        hak_integrity(HAK_INTEGRITY_FREE_LINK, block, unit, class);
}

static void send_home(struct hak_heap *heap, size_t unit, unsigned class, void **list)
{
    void *block = *list;
    *list = *(void **)block;
    heap->sent++;
    hak_outbox_put(heap, unit, class, block);
}

/* Slabs that blocks of a drain came home to. They are looked at when it is over, and none is
 * published before. */
struct visited {
    struct hak_slab *slabs[32];
    unsigned count;
};

static void look_at_visited(struct hak_heap *heap, struct visited *visited)
{
    for (unsigned i = 0; i < visited->count; i++) {
        visited->slabs[i]->visited = 0;
        came_home(heap, visited->slabs[i]);
    }
    visited->count = 0;
}

static void note_visit(struct hak_heap *heap, struct visited *visited, struct hak_slab *slab)
{
    if (visited->count == HAK_COUNT_OF(visited->slabs))
        look_at_visited(heap, visited);
    slab->visited = 1;
    visited->slabs[visited->count++] = slab;
}

/* A list that was freed in disorder goes from slab to slab. Which comes next is anybody's guess,
 * and the processor's are wrong: then each block is put by itself, without a question. */
#define ORDERLY_RUN 4

static unsigned put_home(struct hak_slab *slab, unsigned class, int *orderly, unsigned count,
                         void **list)
{
    if (*orderly) {
        unsigned put = hak_home_put_run(slab, count, list);
        *orderly = put >= ORDERLY_RUN;
        return put;
    }
    void *next = *(void **)*list;
    if (hak_unlikely(!hak_home_put(slab, class, *list)))
        return 0;
    *list = next;
    return 1;
}

/* Returns the rest of the list: none behind a bad link, since nothing there is ours to follow. */
static void *drain(struct hak_heap *heap, unsigned class, void *list, unsigned count)
{
    struct visited visited;
    const uint32_t own_word = hak_unit_word(heap->tag, class);
    int orderly = 1;
    visited.count = 0; /* the rest is left as it is: it is some lines of memory */
    while (list != NULL && count != 0) {
        size_t unit = hak_unit_of(list);
        uint32_t word = unit < hak_zone.units ? hak_load_relaxed(&hak_zone.map[unit]) : 0;
        unsigned put = 0;
        if (hak_likely(word == own_word)) {
            struct hak_slab *slab = hak_slab_of_unit(unit);
            put = put_home(slab, class, &orderly, count, &list);
            if (!slab->visited)
                note_visit(heap, &visited, slab);
        } else if (is_published(word, class)) {
            send_home(heap, unit, class, &list);
            put = 1;
        }
        if (hak_unlikely(put == 0)) {
            refuse(heap, class, list);
            list = NULL;
        }
        count -= put;
    }
    look_at_visited(heap, &visited);
    publish_surplus(heap, &heap->bins[class]);
    return list;
}

void *hak_tiny_drain(struct hak_heap *heap, unsigned class, void *list, unsigned count)
{
    hak_lock_take(&heap->lock);
    list = drain(heap, class, list, count);
    hak_lock_release(&heap->lock);
    return list;
}

/* Takes in what others have freed. Returns 1 if `class` got blocks. */
static int drain_remote(struct hak_heap *heap, unsigned class)
{
    int helped = 0;
    struct hak_slab *slab;
    if (!hak_remote_waiting(heap->tag))
        return 0;
    while ((slab = hak_remote_next(heap->tag)) != NULL) {
        if (slab->linked == NULL) /* else when it runs out, or all blocks are home */
            take_remote(heap, slab);
        struct hak_tiny_bin *bin = &heap->bins[slab->class];
        helped |= slab->class == class;
        came_home(heap, slab);
        publish_surplus(heap, bin);
    }
    return helped;
}

/* ---- refill ------------------------------------------------------------------ */

/* From the thread's own slabs. Slabs that turn out full leave the list. */
static unsigned take_from_partial(struct hak_heap *heap, unsigned class, unsigned want, void **list)
{
    struct hak_tiny_bin *bin = &heap->bins[class];
    struct hak_slab *slab;
    while ((slab = bin->partial) != NULL) {
        if (slab->linked == NULL)
            take_remote(heap, slab);
        unsigned got = hak_slab_take(slab, want, list);
        if (!hak_slab_has_room(slab))
            take_remote(heap, slab); /* in no queue any more, it may still have some */
        if (!hak_slab_has_room(slab)) {
            remove_partial(bin, slab);
            add_full(bin, slab);
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
            add_partial(&heap->bins[class], slab);
            return 1;
        }
        add_full(&heap->bins[class], slab);
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
    add_partial(&heap->bins[class], slab);
    return 1;
}

/* One of the two steps of a refill. */
typedef unsigned refill_step(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                             unsigned *source);

static unsigned take_used(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                          unsigned *source)
{
    unsigned got;
    *source = drain_remote(heap, class) ? HAK_SOURCE_REMOTE : HAK_SOURCE_SLAB;
    if ((got = take_from_partial(heap, class, want, list)) != 0)
        return got;
    *source = HAK_SOURCE_ADOPT;
    if (is_turn_to_adopt(heap) && adopt_some(heap, class))
        return take_from_partial(heap, class, want, list);
    *source = HAK_SOURCE_SHARED;
    return acquire(heap, class, 0) ? take_from_partial(heap, class, want, list) : 0;
}

static unsigned take_new(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                         unsigned *source)
{
    *source = HAK_SOURCE_SLAB; /* blocks may have come home since the first step */
    unsigned got = take_from_partial(heap, class, want, list);
    if (got != 0)
        return got;
    *source = HAK_SOURCE_SHARED;
    if (acquire(heap, class, 1))
        return take_from_partial(heap, class, want, list);
    *source = HAK_SOURCE_ADOPT;
    return adopt_some(heap, class) ? take_from_partial(heap, class, want, list) : 0;
}

static unsigned refill(struct hak_heap *heap, unsigned class, void **list, refill_step *step)
{
    unsigned source;
    hak_lock_take(&heap->lock);
    unsigned want = batch_of(&heap->bins[class], class);
    heap->outcome = (struct hak_pool_outcome){.is_new = 0};
    unsigned got = step(heap, class, want, list, &source);
    if (got != 0)
        heap->bins[class].batch = want * 2;
    heap->turns++;
    hak_lock_release(&heap->lock);
    if (got == 0)
        return 0;
    hak_count_class(heap->block, class, refills, 1);
    hak_count_class(heap->block, class, refilled, got);
    hak_probe_refill(class, got, source);
    heap->path = source == HAK_SOURCE_SHARED ? HAK_PATH_STAGE_0_5 + heap->outcome.stage
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
        drain_remote(heap, 0);
    heap->seen_turns = heap->turns;
    hak_lock_release(&heap->lock);
}

void hak_tiny_visit_others(const struct hak_heap *own)
{
    static uint32_t visits;
    if (hak_load_relaxed(&heaps) < 2 || hak_lock_forking)
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
    hak_outbox_start(heap);
    hak_add_relaxed(&heaps, 1);
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
    remove_slab(bin, slab);
    take_remote(heap, slab);
    if (slab->used == 0 && hak_knob(ss_empty_reuse) && !hak_remote_is_queued(slab))
        hak_pool_release(slab, heap->block);
    else
        hak_pool_publish(slab, heap->block);
}

void hak_tiny_end(struct hak_heap *heap)
{
    hak_tiny_flush_outbox(heap);
    hak_lock_take(&heap->lock);
    drain_remote(heap, 0);
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
    hak_sub_relaxed(&heaps, 1);
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
    if (in_child)
        hak_lock_reset(&heap->lock);
    else
        hak_lock_release(&heap->lock);
}
