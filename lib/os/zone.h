/*
 * zone.h - the address range that all units come from, and the unit map.
 *
 * A unit is 64 KiB, aligned, and has one size class and one owner; the unit map holds
 * both in one word, so that free() learns them in one load. Owner: the process;
 * hak_zone_start() once, ranges under the zone's own lock, any thread. The map's word
 * of a unit is written by whoever owns the unit.
 *
 * The zone is only addresses: a range is mapped when it is taken and unmapped when it
 * is given back. Its tables are reserved whole and committed as the zone grows.
 */
#ifndef HAK_ZONE_H
#define HAK_ZONE_H

#include "base/atomic.h"

struct hak_zone {
    uintptr_t base;
    size_t units;    /* 0 before the start: then no address is inside */
    uint32_t *map;   /* [units]: owner tag << 8 | class, 0 for a unit nobody uses */
    uint32_t *state; /* [units]: slot states, owned by slab/shared_pool; of a direct block's span,
                      * by mid/sparse */
    uint32_t *next;  /* [units]: links of slot lists, owned by slab/shared_pool; of ranges
                      * that nobody holds, by the zone */
    uint32_t *run;   /* [units]: which run, owned by mid/run, which chunk, by mid/growing, or
                      * which place, by slab/mixed; also of a slot on loan */
};

extern struct hak_zone hak_zone;

#define HAK_TAG_SHIFT 8
#define HAK_CLASS_MASK 0xffu
/* Tags that are no thread's. Threads have 1 .. HAK_BLOCK_CAPACITY. */
#define HAK_TAG_MIXED 0xfffff9u   /* holes of a slab that any size lies in: no class */
#define HAK_TAG_GROWING 0xfffffau /* blocks that creep up: whole pages */
#define HAK_TAG_SAMPLED 0xfffffbu /* a sampled block: its free is told */
#define HAK_TAG_SHARED 0xfffffcu  /* Mid and Large: blocks belong to no thread */
#define HAK_TAG_DIRECT 0xfffffdu  /* the larger Large: a block is a span, never in a front */
#define HAK_TAG_LEGACY 0xfffffeu
#define HAK_TAG_NOBODY 0xffffffu  /* Tiny slab without an owner */

#define HAK_NO_UNIT ((size_t)-1)
/* The base is a multiple of this: up to here, an aligned unit has an aligned address. */
#define HAK_ZONE_ALIGN_BYTES ((size_t)1 << 30)

/* Unit index of an address; not less than hak_zone.units for one outside. */
HAK_INLINE size_t hak_unit_of(const void *address)
{
    return ((uintptr_t)address - hak_zone.base) >> HAK_UNIT_LG;
}

HAK_INLINE char *hak_unit_address(size_t unit)
{
    return (char *)(hak_zone.base + (unit << HAK_UNIT_LG));
}

HAK_INLINE uint32_t hak_unit_word(uint32_t tag, unsigned class)
{
    return tag << HAK_TAG_SHIFT | class;
}

int hak_zone_start(void); /* 0 or -ENOMEM */

/* Maps `units` units at a multiple of `align_units` (a power of two). Returns the first unit, or
 * HAK_NO_UNIT: errno is ENOMEM when the OS refused and ENOSPC when the zone is used up. */
size_t hak_zone_take(size_t units, size_t align_units);
/* Unmaps a range that hak_zone_take() gave; its map words must be 0 by now. */
void hak_zone_give(size_t unit, size_t units);

void hak_zone_fork_prepare(void);
void hak_zone_fork_done(int in_child);

#endif
