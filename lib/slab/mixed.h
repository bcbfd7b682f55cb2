/*
 * mixed.h - units whose holes serve any size: what slabs become that few blocks are left in.
 *
 * A slab serves one size. When sizes go out of use, the blocks that survive hold whole slabs of
 * holes that no other size could fill. Such a slab becomes a mixed unit: a bit map of granules says
 * what is taken, and blocks of Tiny and of the smaller Mid classes are laid into its holes, before
 * memory is mapped for them. They go through the fronts like any other; nobody owns them, and
 * each tells its class by its granules. A mixed unit in which nothing is left is an EMPTY slot.
 *
 * Owner: a shard, under its lock; any thread may take, free and look up blocks. What other
 * threads have sent to the slab before they saw that it had changed is taken in here, too.
 */
#ifndef HAK_MIXED_H
#define HAK_MIXED_H

#include "slab/granules.h"
#include "slab/superslab.h"

#define HAK_MIXED_PLACES_A_PART 32 /* whose granules are mapped at once */
#define HAK_MIXED_PARTS 1024       /* 2 GiB of units */

/* Where granules are, by the name that the table of runs has for a mixed unit. */
extern struct hak_granules *hak_mixed_parts[HAK_MIXED_PARTS];

HAK_INLINE uint32_t hak_mixed_name(const void *block)
{
    return hak_load_relaxed(&hak_zone.run[hak_unit_of(block)]);
}

HAK_INLINE struct hak_granules *hak_mixed_granules(uint32_t name)
{
    return &hak_load_relaxed(&hak_mixed_parts[name / HAK_MIXED_PLACES_A_PART])
        [name % HAK_MIXED_PLACES_A_PART];
}

/* May blocks of this class lie in mixed units? */
int hak_mixed_serves(unsigned class);

/* Prepends up to `want` blocks of the class to *list and returns their number. `seat`: any number
 * that differs between threads. */
unsigned hak_mixed_take(unsigned class, unsigned seat, unsigned want, void **list);

/* The class of a block; HAK_CLASS_NONE: none begins there. Its unit has HAK_TAG_MIXED, which an
 * acquiring load has read. */
HAK_INLINE unsigned hak_mixed_class(const void *block)
{
    return hak_granules_class(hak_mixed_granules(hak_mixed_name(block)), block);
}

/* Takes the blocks at the head of the list back that lie in the unit of the first, at most `most`.
 * Returns their number; *list is the rest. It ends before one that is no block of the class. */
unsigned hak_mixed_put(unsigned class, unsigned most, void **list);

/* The caller's slab, which is in no list of his, becomes a mixed unit. 0: it can not, and stays
 * as it is. */
int hak_mixed_convert(struct hak_slab *slab, unsigned seat);

/* On the tick: late arrivals come home, and pages that have been free since the last tick go back
 * to the OS. Returns their bytes. */
size_t hak_mixed_tick(void);

void hak_mixed_fork_prepare(void);
void hak_mixed_fork_done(int in_child);

#endif
