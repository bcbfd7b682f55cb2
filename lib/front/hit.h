/*
 * hit.h - a hit, to be inlined into the entries that hand out blocks: malloc, calloc, the
 * aligned ones and C++'s operators. An entry that calls instead pays for a frame.
 *
 * Owner: the calling thread. A miss is the entry's business.
 */
#ifndef HAK_HIT_H
#define HAK_HIT_H

#include "front/front.h"

/* Takes `block`, the first of the class's list. 1: hak_pop_counted_out() is next. */
HAK_INLINE int hak_take_first(unsigned class, void *block)
{
    struct hak_front *front = &hak_front;
    front->head[class] = *(void **)block;
    return hak_step(hak_pair_countdown(front->block, class, front_pops));
}

/* The same; a sampled call gets another block instead. */
HAK_INLINE void *hak_hit(unsigned class, void *block, size_t bytes, uintptr_t site)
{
    if (hak_take_first(class, block))
        return hak_pop_counted_out(class, block, bytes, site);
    return block;
}

/* Mid blocks are spread over cache lines, so only these alignments are theirs. */
#define HAK_MID_ALIGN 64

/* A class that is likely to have blocks at multiples of `align`, a power of two. Above
 * HAK_MID_ALIGN, Mid has classes of its own for that: powers of two from 4 KiB on. */
HAK_INLINE unsigned hak_likely_aligned_class(size_t align, size_t bytes)
{
    size_t least = hak_max(bytes, align);
    if (hak_likely(least <= HAK_TINY_MAX_BYTES))
        return hak_class_of((bytes + align - 1) & ~(align - 1));
    if (least > HAK_MID_MAX_BYTES)
        return HAK_CLASS_NONE;
    if (align <= HAK_MID_ALIGN)
        return hak_class_of(least);
    return hak_classes.regular_count + hak_lg(least - 1) - hak_lg(HAK_TINY_MAX_BYTES);
}

/* The first block of such a class; NULL when there is none at hand, and the slow way has to
 * look. */
HAK_INLINE void *hak_first_aligned(size_t align, size_t bytes, unsigned *class)
{
    *class = hak_likely_aligned_class(align, bytes);
    if (hak_unlikely(hak_classes.size[*class] & (align - 1)))
        return NULL;
    return hak_front.head[*class];
}

#endif
