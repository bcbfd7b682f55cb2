/*
 * gaps.h - rows of bits in words of 64, and where to look for one.
 *
 * A word is what a chunk has taken: of units (mid/span), of pages (mid/growing). An index of gaps
 * remembers below which chunk there is none. Who uses them locks.
 */
#ifndef HAK_GAPS_H
#define HAK_GAPS_H

#include "base/base.h"

#define HAK_GAP_MOST 64

HAK_INLINE uint64_t hak_gap_mask(unsigned at, size_t count)
{
    return (count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1) << at;
}

/* Lowest position of `count` clear bits in a row, or -1. Halving: after each step a set bit of
 * `gaps` means that so many places from there on are free. */
HAK_INLINE int hak_gap_find(uint64_t used, size_t count)
{
    uint64_t gaps = ~used;
    for (size_t have = 1; have < count && gaps != 0;) {
        size_t step = hak_min(have, count - have);
        gaps &= gaps >> step;
        have += step;
    }
    return gaps != 0 ? __builtin_ctzll(gaps) : -1;
}

/* Length of the gap that lies around these clear bits. */
HAK_INLINE size_t hak_gap_around(uint64_t used, unsigned at, size_t count)
{
    uint64_t below = at != 0 ? used << (64 - at) : 0;
    uint64_t above = at + count < 64 ? used >> (at + count) : 0;
    size_t more_below = below != 0 ? (size_t)__builtin_clzll(below) : at;
    size_t more_above = above != 0 ? (size_t)__builtin_ctzll(above) : 64 - at - count;
    return more_below + count + more_above;
}

/* The lowest row of set bits (there is one): its length, and where it begins. */
HAK_INLINE size_t hak_gap_row(uint64_t bits, unsigned *at)
{
    *at = (unsigned)__builtin_ctzll(bits);
    uint64_t row = bits >> *at;
    return ~row == 0 ? 64 : (size_t)__builtin_ctzll(~row);
}

/* No chunk below first[n] has a gap of n; it never falls with n. */
struct hak_gap_index {
    size_t first[HAK_GAP_MOST + 1];
};

/* The chunk has a gap of so many. */
HAK_INLINE void hak_gap_opens(struct hak_gap_index *index, size_t chunk, size_t count)
{
    for (size_t n = count; n != 0 && index->first[n] > chunk; n--)
        index->first[n] = chunk;
}

/* No chunk below has one. */
HAK_INLINE void hak_gap_none_below(struct hak_gap_index *index, size_t chunk, size_t count)
{
    for (size_t n = count; n <= HAK_GAP_MOST && index->first[n] < chunk; n++)
        index->first[n] = chunk;
}

#endif
