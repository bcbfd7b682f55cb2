/*
 * granules.h - a unit by granules of 16 bytes: a bit says whether one is taken, and a byte which
 * class the block has that begins there.
 *
 * So blocks of any class may lie beside each other. One writer at a time, under a lock of its own;
 * who has a block may read its class without one.
 */
#ifndef HAK_GRANULES_H
#define HAK_GRANULES_H

#include "slab/sizeclass.h"

#define HAK_GRANULE_LG 4
#define HAK_GRANULE_BYTES ((size_t)1 << HAK_GRANULE_LG)
#define HAK_GRANULES ((unsigned)(HAK_UNIT_BYTES / HAK_GRANULE_BYTES))
#define HAK_GRANULE_WORDS (HAK_GRANULES / 64)
#define HAK_GRANULES_A_PAGE ((unsigned)(HAK_PAGE_BYTES / HAK_GRANULE_BYTES))

struct hak_granules {
    uint64_t taken[HAK_GRANULE_WORDS];
    uint8_t begins[HAK_GRANULES]; /* class + 1 of the block; 0: none begins there */
};

HAK_INLINE unsigned hak_granule_of(const void *block)
{
    return (unsigned)(((uintptr_t)block & (HAK_UNIT_BYTES - 1)) >> HAK_GRANULE_LG);
}

HAK_INLINE unsigned hak_granules_for(unsigned class)
{
    return (unsigned)((hak_classes.size[class] + HAK_GRANULE_BYTES - 1) >> HAK_GRANULE_LG);
}

/* At multiples of how many granules blocks of the class begin, as in a slab or a run: the largest
 * power of two that divides a Tiny block's size, or a cache line. */
HAK_INLINE unsigned hak_granules_step(unsigned class)
{
    size_t size = hak_classes.size[class];
    size_t align = class < hak_classes.tiny_count ? size & -size : 64;
    return (unsigned)((align + HAK_GRANULE_BYTES - 1) >> HAK_GRANULE_LG);
}

/* Sets (or clears) the bits of [at, end). */
HAK_INLINE void hak_granules_set(struct hak_granules *g, unsigned at, unsigned end, int taken)
{
    unsigned word = at / 64, last = (end - 1) / 64;
    uint64_t mask = ~(uint64_t)0 << at % 64;
    for (; word < last; word++, mask = ~(uint64_t)0)
        g->taken[word] = taken ? g->taken[word] | mask : g->taken[word] & ~mask;
    mask &= ~(uint64_t)0 >> (63 - (end - 1) % 64);
    g->taken[word] = taken ? g->taken[word] | mask : g->taken[word] & ~mask;
}

/* The first granule from `at` on that is free; HAK_GRANULES: none. */
HAK_INLINE unsigned hak_granules_next_free(const struct hak_granules *g, unsigned at)
{
    if (at == HAK_GRANULES)
        return at;
    unsigned word = at / 64;
    uint64_t bits = ~g->taken[word] & ~(uint64_t)0 << at % 64;
    while (bits == 0)
        if (++word == HAK_GRANULE_WORDS)
            return HAK_GRANULES;
        else
            bits = ~g->taken[word];
    return word * 64 + (unsigned)__builtin_ctzll(bits);
}

/* The end of the gap that a free granule lies in. */
HAK_INLINE unsigned hak_granules_gap_end(const struct hak_granules *g, unsigned at)
{
    unsigned word = at / 64;
    uint64_t bits = g->taken[word] & ~(uint64_t)0 << at % 64;
    while (bits == 0)
        if (++word == HAK_GRANULE_WORDS)
            return HAK_GRANULES;
        else
            bits = g->taken[word];
    return word * 64 + (unsigned)__builtin_ctzll(bits);
}

/* A block of the class takes its granules; it gives them back. The writer only. */
HAK_INLINE void hak_granules_take(struct hak_granules *g, unsigned class, unsigned at)
{
    hak_granules_set(g, at, at + hak_granules_for(class), 1);
    hak_store_relaxed(&g->begins[at], (uint8_t)(class + 1));
}

HAK_INLINE void hak_granules_give(struct hak_granules *g, unsigned class, unsigned at)
{
    hak_store_relaxed(&g->begins[at], 0);
    hak_granules_set(g, at, at + hak_granules_for(class), 0);
}

/* The class of a block that lies in the unit; HAK_CLASS_NONE: none begins there. */
HAK_INLINE unsigned hak_granules_class(const struct hak_granules *g, const void *block)
{
    unsigned begins = hak_load_relaxed(&g->begins[hak_granule_of(block)]);
    return begins != 0 && (uintptr_t)block % HAK_GRANULE_BYTES == 0 ? begins - 1 : HAK_CLASS_NONE;
}

/* Is the page free as a whole? */
HAK_INLINE int hak_granules_page_is_free(const struct hak_granules *g, unsigned page)
{
    const unsigned words = HAK_GRANULES_A_PAGE / 64;
    uint64_t taken = 0;
    for (unsigned i = 0; i < words; i++)
        taken |= g->taken[page * words + i];
    return taken == 0;
}

#endif
