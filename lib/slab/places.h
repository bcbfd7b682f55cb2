/*
 * places.h - a shard's mixed units: which there are, and in which of them there may be a gap.
 *
 * Looking through a unit's granules costs more than a block is worth, so what a look has found is
 * kept: how large a unit's gaps are at most, and below which unit there is none for a class.
 *
 * Owner: who holds the shard's lock (slab/mixed); `count` may be read without it. Bookkeeping only:
 * no granules, no lists, no system calls.
 */
#ifndef HAK_PLACES_H
#define HAK_PLACES_H

#include "slab/granules.h"

#define HAK_PLACES 8192u /* units that a shard can have */

/* A mixed unit. */
struct hak_place {
    uint32_t unit;
    uint16_t total;   /* granules for blocks; 0: no unit is here */
    uint16_t free;    /* of these */
    uint16_t largest; /* no gap is larger, unless more is free than `known` */
    uint16_t known;
    uint16_t idle;    /* pages that were free at the last tick */
    uint16_t absent;  /* free pages that are not in memory */
};

struct hak_places {
    size_t count; /* places up to the last one that was ever used */
    size_t gone;  /* of these, the ones without a unit */
    size_t lowest_gone; /* none of them is below */
    uint32_t first[HAK_CLASS_CAPACITY]; /* no place below has a gap for the class, about; it never
                                         * falls from class to class */
    struct hak_place at[HAK_PLACES];
};

/* ---- coming and going ---------------------------------------------------------------------- */

/* Where the next unit would be; HAK_PLACES: there is no room. */
HAK_INLINE size_t hak_places_room(const struct hak_places *places)
{
    size_t index = places->gone != 0 ? places->lowest_gone : places->count;
    while (index < places->count && places->at[index].total != 0)
        index++;
    return index;
}

/* A unit has come to where there was room. */
HAK_INLINE void hak_places_enter(struct hak_places *places, const struct hak_place *place)
{
    if (place == &places->at[places->count]) {
        hak_store_relaxed(&places->count, places->count + 1);
    } else {
        places->gone--;
        places->lowest_gone = (size_t)(place - places->at) + 1;
    }
}

HAK_INLINE void hak_places_leave(struct hak_places *places, struct hak_place *place)
{
    *place = (struct hak_place){.unit = 0};
    places->gone++;
    places->lowest_gone = hak_min(places->lowest_gone, (size_t)(place - places->at));
}

/* ---- where gaps are ------------------------------------------------------------------------ */

/* A place that is almost full is let alone, and one that has been gone through is until more of it
 * is free: what a look costs must be worth it. */
#define HAK_PLACE_LEAST_FREE (HAK_GRANULES / 16)
#define HAK_PLACE_MORE_FREE (HAK_GRANULES / 64)

/* More is free in the place than before. */
HAK_INLINE void hak_places_open(struct hak_places *places, struct hak_place *place)
{
    if (place->free < place->known || place->largest == HAK_GRANULES)
        return;
    uint32_t index = (uint32_t)(place - places->at);
    place->largest = (uint16_t)HAK_GRANULES;
    for (unsigned c = hak_classes.mid_count; c-- > 0 && places->first[c] > index;)
        places->first[c] = index;
}

/* All of its gaps have been looked at. */
HAK_INLINE void hak_place_is_known(struct hak_place *place, unsigned largest)
{
    place->largest = (uint16_t)largest;
    place->known = (uint16_t)hak_max(place->free + HAK_PLACE_MORE_FREE, HAK_PLACE_LEAST_FREE);
}

HAK_INLINE void hak_places_none_below(struct hak_places *places, size_t index, unsigned class)
{
    for (unsigned c = class; c < HAK_CLASS_CAPACITY && places->first[c] < index; c++)
        places->first[c] = (uint32_t)index;
}

/* ---- pages --------------------------------------------------------------------------------- */

/* Those that the granules [at, end) lie in. */
HAK_INLINE uint16_t hak_place_pages(unsigned at, unsigned end)
{
    unsigned first = at / HAK_GRANULES_A_PAGE, last = (end - 1) / HAK_GRANULES_A_PAGE;
    return (uint16_t)(((2u << last) - 1) & ~((1u << first) - 1));
}

/* Up to the last page that is in memory. */
HAK_INLINE size_t hak_place_warm_bytes(const struct hak_place *place)
{
    unsigned present = (uint16_t)~place->absent;
    return present != 0 ? (hak_lg(present) + 1) * HAK_PAGE_BYTES : 0;
}

#endif
