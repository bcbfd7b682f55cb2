/*
 * home.h - which blocks of a slab are free: a bit each.
 *
 * A drain sets bits and touches no block but to read its link; a refill takes the lowest ones, and
 * links them in the order of their addresses. So what was freed in disorder is handed out in order,
 * and a block that comes home twice is found out. Blocks that other threads have freed stay linked,
 * as they came (slab/remote), until a refill takes them.
 *
 * Owner of the slab only. Bits lie outside of the SuperSlab.
 */
#ifndef HAK_HOME_H
#define HAK_HOME_H

#include "slab/superslab.h"

/* The run of blocks at the head of the list that lie in this slab, at most `most` of them, comes
 * home. Returns their number; *list is the rest. What lies in its unit and is not one of its
 * blocks, is home already, or is one too many, is told, and the list is given up from there. */
unsigned hak_home_put(struct hak_slab *slab, size_t unit, unsigned most, void **list);

/* Prepends up to `want` blocks to *list and returns their number. */
unsigned hak_home_take(struct hak_slab *slab, unsigned want, void **list);

/* Before the slab is opened anew: no block of it is home. */
void hak_home_clear(struct hak_slab *slab);

/* Bits for a SuperSlab of so many slots, a power of two; NULL: the OS refuses. One caller at a
 * time: who maps SuperSlabs. */
char *hak_home_map(size_t slots);
void hak_home_unmap(char *home, size_t slots);

#endif
