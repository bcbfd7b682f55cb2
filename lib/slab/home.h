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

/* The first words of all slabs of a SuperSlab lie together, in a page. They tell of 1024 blocks, as
 * many as a slab of 64-byte ones holds. What smaller ones need besides, down to 8 bytes, is in
 * memory only where more blocks were cut. */
#define HAK_HOME_BITS 64u /* of a word */
#define HAK_HOME_FIRST_WORDS 16u
#define HAK_HOME_REST_WORDS (HAK_UNIT_BYTES / 8 / HAK_HOME_BITS - HAK_HOME_FIRST_WORDS)

/* Where the words of a slab are. */
struct hak_home {
    uint64_t *first;
    uint64_t *rest; /* less what comes before them: words of both count from 0 */
};

HAK_INLINE struct hak_home hak_home_of(const struct hak_slab *slab)
{
    const struct hak_superslab *superslab = hak_superslab_of(slab);
    uint64_t *rests = superslab->home + superslab->slots * HAK_HOME_FIRST_WORDS;
    return (struct hak_home){
        .first = superslab->home + slab->index * HAK_HOME_FIRST_WORDS,
        .rest = rests + slab->index * HAK_HOME_REST_WORDS - HAK_HOME_FIRST_WORDS,
    };
}

HAK_INLINE uint64_t *hak_home_word(const struct hak_home *home, uint32_t at)
{
    return (at < HAK_HOME_FIRST_WORDS ? home->first : home->rest) + at;
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
    const struct hak_home home = hak_home_of(slab);
    uint64_t *word = hak_home_word(&home, index / HAK_HOME_BITS);
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

/* No block of the slab is home any more. Its `carved` must still be what it was. */
void hak_home_clear(struct hak_slab *slab);

/* Bits for a SuperSlab of so many slots, a power of two; NULL: the OS refuses. One caller at a
 * time: who maps SuperSlabs. */
uint64_t *hak_home_map(size_t slots);
void hak_home_unmap(uint64_t *home, size_t slots);

#endif
