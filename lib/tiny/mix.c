/*
 * mix.c - the thread's slabs that hold few blocks of sizes out of use become mixed units, whose
 * holes serve the sizes in use.
 */
#include "tiny/bins.h"

#include "core/codes.h"
#include "core/config.h"
#include "slab/mixed.h"
#include "slab/remote.h"

/* A slab of which at least so much is free. */
#define FREE_BYTES_LEAST (HAK_UNIT_BYTES / 4 * 3)
/* Partly used slabs that a class keeps, in use and out of use. */
#define KEPT 8
#define KEPT_IDLE 2
/* Where sizes are in use, some slab is always hardly used by chance, but not so many of so many.
 * (A few may look used because their blocks lie at the end of a front's list.) */
#define LOOKS 6
#define SPARSE_LEAST 4

static int is_sparse(const struct hak_slab *slab)
{
    return slab->used * (size_t)hak_classes.size[slab->class] <=
           HAK_UNIT_BYTES - FREE_BYTES_LEAST;
}

static int may_go(const struct hak_slab *slab)
{
    return slab->used != 0 && !hak_remote_is_queued(slab);
}

/* Of the slabs that have been partly used for the longest, the first to become a mixed unit; NULL:
 * the class has none to spare. */
static struct hak_slab *surplus(const struct hak_heap *heap, unsigned class)
{
    const struct hak_tiny_bin *bin = &heap->bins[class];
    struct hak_slab *slab = bin->last, *first = NULL;
    unsigned looks = 0, sparse = 0;
    if (bin->partial_count <= (heap->idle >> class & 1 ? KEPT_IDLE : KEPT))
        return NULL;
    for (; looks < LOOKS && slab != NULL; looks++, slab = slab->prev) {
        sparse += is_sparse(slab);
        if (first == NULL && is_sparse(slab) && may_go(slab))
            first = slab;
    }
    return sparse >= hak_min(SPARSE_LEAST, bin->partial_count) ? first : NULL;
}

static int mix(struct hak_heap *heap, struct hak_slab *slab)
{
    struct hak_tiny_bin *bin = &heap->bins[slab->class];
    hak_bin_remove_partial(bin, slab);
    if (hak_mixed_convert(slab, heap->tag))
        return 1;
    hak_bin_add_partial(bin, slab);
    return 0;
}

/* One slab of each class that has more than it needs. */
static int mix_some(struct hak_heap *heap)
{
    int mixed = 0;
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        struct hak_slab *slab = hak_mixed_serves(class) ? surplus(heap, class) : NULL;
        if (slab != NULL)
            mixed |= mix(heap, slab);
    }
    return mixed;
}

unsigned hak_tiny_take_mixed(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                             int may_mix)
{
    if (!hak_knob(mixed_units) || !hak_mixed_serves(class))
        return 0;
    unsigned got = hak_mixed_take(class, heap->tag, want, list);
    if (got == 0 && may_mix && mix_some(heap))
        got = hak_mixed_take(class, heap->tag, want, list);
    return got;
}

unsigned hak_tiny_refill_mixed(struct hak_heap *heap, unsigned class, unsigned want, void **list)
{
    hak_lock_take(&heap->lock);
    unsigned got = hak_tiny_take_mixed(heap, class, want, list, 1);
    hak_lock_release(&heap->lock);
    if (got != 0)
        hak_tiny_count_refill(heap, class, got, HAK_SOURCE_MIXED);
    return got;
}
