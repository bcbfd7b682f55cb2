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

/* Blocks from 64 bytes on need two lines at most; those of all slabs of a SuperSlab share a page.
 * Smaller ones have a place of their own behind that, large enough for 8-byte blocks. */
#define HAK_HOME_FEW_BYTES 128
#define HAK_HOME_MANY_BYTES 1024
#define HAK_HOME_BITS 64u /* of a word */

HAK_INLINE uint64_t *hak_home_bits(const struct hak_slab *slab)
{
    const struct hak_superslab *superslab = hak_superslab_of(slab);
    char *few = superslab->home, *many = few + superslab->slots * HAK_HOME_FEW_BYTES;
    int is_few = slab->capacity <= HAK_HOME_FEW_BYTES * 8;
    return (uint64_t *)(is_few ? few + slab->index * HAK_HOME_FEW_BYTES
                               : many + slab->index * HAK_HOME_MANY_BYTES);
}

/* A block that lies in the slab's unit comes home. 0, and nothing is changed: it is not one of the
 * slab's blocks, is home already, or is one too many. */
HAK_INLINE int hak_home_put(struct hak_slab *slab, unsigned class, const void *block)
{
    uint32_t header_bytes = slab->index == 0 ? HAK_SUPERSLAB_HEADER_BYTES : 0;
    uint32_t offset = (uint32_t)((uintptr_t)block & (HAK_UNIT_BYTES - 1)) - header_bytes;
    uint32_t index = hak_class_strides(class, offset);
    if (hak_unlikely(index >= slab->carved || index * hak_classes.size[class] != offset ||
                     slab->used == 0))
        return 0;
    uint64_t *word = hak_home_bits(slab) + index / HAK_HOME_BITS;
    uint64_t bit = (uint64_t)1 << index % HAK_HOME_BITS;
    if (hak_unlikely(*word & bit))
        return 0;
    *word |= bit;
    slab->home_from = (uint16_t)hak_min(slab->home_from, index / HAK_HOME_BITS);
    slab->home++;
    slab->used--;
    return 1;
}

/* The same for the run of blocks at the head of the list that lie in this slab, at most `most` of
 * them. Returns their number; *list is the rest. */
unsigned hak_home_put_run(struct hak_slab *slab, unsigned most, void **list);

/* Prepends up to `want` blocks to *list and returns their number. */
unsigned hak_home_take(struct hak_slab *slab, unsigned want, void **list);

/* Before the slab is opened anew: no block of it is home. */
void hak_home_clear(struct hak_slab *slab);

/* Bits for a SuperSlab of so many slots, a power of two; NULL: the OS refuses. One caller at a
 * time: who maps SuperSlabs. */
char *hak_home_map(size_t slots);
void hak_home_unmap(char *home, size_t slots);

#endif
