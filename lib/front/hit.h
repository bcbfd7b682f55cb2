/*
 * hit.h - a hit, to be inlined into the entries that hand out blocks: malloc, calloc, the
 * aligned ones and C++'s operators. An entry that calls instead pays for a frame.
 *
 * Owner: the calling thread. A miss is the entry's business.
 */
#ifndef HAK_HIT_H
#define HAK_HIT_H

#include "front/front.h"

/* Takes `block`, the first of the class's list. A sampled call gets another one instead. */
HAK_INLINE void *hak_hit(unsigned class, void *block, size_t bytes, uintptr_t site)
{
    struct hak_front *front = &hak_front;
    front->head[class] = *(void **)block;
    if (hak_step(hak_pair_countdown(front->block, class, front_pops)))
        return hak_pop_counted_out(class, block, bytes, site);
    return block;
}

/* The first block of a Tiny class whose blocks all lie at multiples of `align`, a power of
 * two; NULL when there is none at hand, and the slow way has to look. */
HAK_INLINE void *hak_first_aligned(size_t align, size_t bytes, unsigned *class)
{
    if (hak_unlikely(bytes > HAK_TINY_MAX_BYTES || align > HAK_TINY_MAX_BYTES))
        return NULL;
    *class = hak_class_of((bytes + align - 1) & ~(align - 1));
    if (hak_unlikely(*class >= hak_classes.tiny_count || hak_classes.size[*class] & (align - 1)))
        return NULL;
    return hak_front.head[*class];
}

#endif
