/*
 * usable.h - how large a block is, whichever tier below Big it is of.
 */
#ifndef HAK_USABLE_H
#define HAK_USABLE_H

#include "mid/growing.h"
#include "slab/mixed.h"
#include "slab/sampled.h"

/* Bytes that the program may use of a block, by the word of its unit, which is not 0 and which an
 * acquiring load has read; 0: no block begins there. */
HAK_INLINE size_t hak_unit_usable(uint32_t word, const void *block)
{
    if (hak_unlikely(word >> HAK_TAG_SHIFT == HAK_TAG_GROWING))
        return hak_growing_bytes(block);
    if (hak_unlikely(word >> HAK_TAG_SHIFT == HAK_TAG_MIXED))
        return hak_class_bytes(hak_mixed_class(block));
    if (hak_unlikely(word == HAK_SAMPLED_WORD))
        return hak_class_bytes(hak_sampled_class(block));
    return hak_classes.size[word & HAK_CLASS_MASK];
}

#endif
