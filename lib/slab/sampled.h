/*
 * sampled.h - units for sampled Tiny blocks, past fronts and slabs: blocks of all classes lie side
 * by side, since few are ever alive, and each class's own mapping would cost it a page.
 *
 * The map word of such a unit tells a free that it is to be told, and leads to the granules at
 * the start of the unit, which know the class. One lock; any thread. It counts no allocations,
 * and does not know what is sampled.
 */
#ifndef HAK_SAMPLED_H
#define HAK_SAMPLED_H

#include "os/zone.h"
#include "slab/granules.h"

/* Sampled blocks above Tiny are spans with a class of their own. */
#define HAK_SAMPLED_WORD hak_unit_word(HAK_TAG_SAMPLED, HAK_CLASS_NONE)

/* A block of the Tiny class; NULL with errno ENOMEM. */
void *hak_sampled_alloc(unsigned class);
/* A block that hak_sampled_class() knows. */
void hak_sampled_free(void *block);

/* Of a block in a unit with HAK_SAMPLED_WORD; HAK_CLASS_NONE: none begins there. */
HAK_INLINE unsigned hak_sampled_class(const void *block)
{
    const char *unit = hak_unit_address(hak_unit_of(block));
    return hak_granules_class((const struct hak_granules *)unit, block);
}

void hak_sampled_fork_prepare(void);
void hak_sampled_fork_done(int in_child);

#endif
