/*
 * bins.h - what the parts of Tiny share: the lists of a thread's slabs, and what comes home.
 *
 * Owner: whoever holds the heap's lock. Only lib/tiny includes it.
 */
#ifndef HAK_BINS_H
#define HAK_BINS_H

#include "tiny/tiny.h"

/* Heaps in use: a thread that is alone has nobody to leave slabs to. */
extern uint32_t hak_tiny_heaps;

/* What others have freed goes to the slab. */
void hak_tiny_take_remote(struct hak_heap *heap, struct hak_slab *slab);
/* Takes in what others have freed of all slabs. Returns 1 if `class` got blocks. */
int hak_tiny_drain_remote(struct hak_heap *heap, unsigned class);

/* tiny/mix: hak_tiny_refill_mixed() under the heap's lock, uncounted; slabs become mixed units only
 * if they may. */
unsigned hak_tiny_take_mixed(struct hak_heap *heap, unsigned class, unsigned want, void **list,
                             int may_mix);

/* Blocks have come out of the heap for a front's list, from where `source` (a SOURCE code) says. */
void hak_tiny_count_refill(struct hak_heap *heap, unsigned class, unsigned got, unsigned source);

/* ---- lists of slabs: partial ones, with room, and full ones ------------------- */

HAK_INLINE void hak_bin_link(struct hak_slab **list, struct hak_slab *slab)
{
    slab->prev = NULL;
    slab->next = *list;
    if (slab->next != NULL)
        slab->next->prev = slab;
    *list = slab;
}

HAK_INLINE void hak_bin_unlink(struct hak_slab **list, struct hak_slab *slab)
{
    if (slab->prev != NULL)
        slab->prev->next = slab->next;
    else
        *list = slab->next;
    if (slab->next != NULL)
        slab->next->prev = slab->prev;
}

HAK_INLINE void hak_bin_add_partial(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    slab->full = 0;
    hak_bin_link(&bin->partial, slab);
    if (slab->next == NULL)
        bin->last = slab;
    bin->partial_count++;
}

HAK_INLINE void hak_bin_remove_partial(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    if (bin->last == slab)
        bin->last = slab->prev;
    hak_bin_unlink(&bin->partial, slab);
    bin->partial_count--;
}

HAK_INLINE void hak_bin_add_full(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    slab->full = 1;
    hak_bin_link(&bin->full, slab);
}

HAK_INLINE void hak_bin_remove(struct hak_tiny_bin *bin, struct hak_slab *slab)
{
    if (slab->full)
        hak_bin_unlink(&bin->full, slab);
    else
        hak_bin_remove_partial(bin, slab);
}

#endif
