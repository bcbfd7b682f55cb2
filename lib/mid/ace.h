/*
 * ace.h - Mid and Large (L1): above Tiny, below the mmap threshold.
 *
 * Two pools behind one entry. Up to HAK_DIRECT_ABOVE_BYTES, blocks are cut from runs of
 * units and kept in shards, each with a lock, in front of which the thread's front keeps
 * a few (ace_pool). Above, each block is a span of its own (ace_direct): what one class
 * frees, another takes. Blocks have no owner; any thread may free any of them.
 */
#ifndef HAK_ACE_H
#define HAK_ACE_H

#include "core/counters.h"
#include "slab/sizeclass.h"

/* Blocks above this are not kept in fronts: their memory is worth more than a lock. */
#define HAK_DIRECT_ABOVE_BYTES ((size_t)256 * HAK_KIB)

HAK_INLINE int hak_ace_is_direct(unsigned class)
{
    return hak_classes.size[class] > HAK_DIRECT_ABOVE_BYTES;
}

/* Prepends at most `want` blocks of the class to *list; returns their number, 0 with
 * errno ENOMEM. `seat` is any number that differs between threads; `block` counts. */
unsigned hak_ace_refill(unsigned class, unsigned seat, struct hak_block *block, unsigned want,
                        void **list);
/* Takes the first `count` blocks of the list back and returns the rest of it. */
void *hak_ace_drain(unsigned class, struct hak_block *block, void *list, unsigned count);

/* A block in a span of its own, of any class above Tiny; NULL with errno ENOMEM. */
void *hak_ace_direct_alloc(unsigned class, int *zeroed);
void hak_ace_direct_free(size_t unit, unsigned class);

void hak_ace_fork_prepare(void);
void hak_ace_fork_done(int in_child);

#endif
