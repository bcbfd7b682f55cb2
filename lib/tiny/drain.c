/*
 * drain.c - blocks coming home to the thread's slabs, and what becomes of a slab then: it has room
 * again, is EMPTY and goes to the shared pool, or is one too many and goes to the mailbox.
 */
#include "tiny/bins.h"

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "slab/home.h"
#include "slab/mixed.h"
#include "slab/remote.h"
#include "slab/shared_pool.h"

void hak_tiny_take_remote(struct hak_heap *heap, struct hak_slab *slab)
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
        hak_tiny_take_remote(heap, slab);
    if (slab->used != 0 || !hak_knob(ss_empty_reuse) || hak_remote_is_queued(slab))
        return;
    if (slab == bin->partial && slab->next == NULL)
        return;
    hak_bin_remove(bin, slab);
    hak_pool_release(slab, heap->block);
}

void hak_tiny_give_kept(struct hak_heap *heap, unsigned class)
{
    struct hak_tiny_bin *bin = &heap->bins[class];
    hak_lock_take(&heap->lock);
    struct hak_slab *slab = bin->partial;
    if (slab != NULL && slab->used == 0 && hak_knob(ss_empty_reuse) &&
        !hak_remote_is_queued(slab)) {
        hak_bin_remove_partial(bin, slab);
        hak_pool_release(slab, heap->block);
    }
    hak_lock_release(&heap->lock);
}

/* Partly used slabs beyond these go to the mailbox: other threads need them more. */
#define KEPT_PARTIAL 32

static int publish_last(struct hak_heap *heap, struct hak_tiny_bin *bin)
{
    struct hak_slab *slab = bin->last;
    if (!hak_knob(ss_adopt) || slab->used == 0 || hak_load_relaxed(&hak_tiny_heaps) < 2)
        return 0;
    hak_bin_remove_partial(bin, slab);
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
        hak_bin_unlink(&bin->full, slab);
        hak_bin_add_partial(bin, slab);
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
        } else if (word >> HAK_TAG_SHIFT == HAK_TAG_MIXED) {
            put = hak_mixed_put(class, count, &list);
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

int hak_tiny_drain_remote(struct hak_heap *heap, unsigned class)
{
    int helped = 0;
    struct hak_slab *slab;
    if (!hak_remote_waiting(heap->tag))
        return 0;
    while ((slab = hak_remote_next(heap->tag)) != NULL) {
        if (slab->linked == NULL) /* else when it runs out, or all blocks are home */
            hak_tiny_take_remote(heap, slab);
        struct hak_tiny_bin *bin = &heap->bins[slab->class];
        helped |= slab->class == class;
        came_home(heap, slab);
        publish_surplus(heap, bin);
    }
    return helped;
}
