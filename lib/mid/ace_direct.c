/*
 * ace_direct.c - the larger Large classes: a block is a span of its own.
 */
#include "mid/ace.h"

#include "mid/span.h"
#include "mid/sparse.h"
#include "os/zone.h"

static size_t units_of(unsigned class)
{
    return (hak_classes.size[class] + HAK_UNIT_BYTES - 1) >> HAK_UNIT_LG;
}

/* ---- the thread's own ----------------------------------------------------------------------- */

/* What a thread frees it keeps, one block of a class and so many bytes in all: spans cost two
 * atomic steps each way, which wait for the stores into the block that has just been used. */
#define KEPT_MOST_BYTES ((size_t)4 * HAK_MIB)

/* Static TLS is scarce where the library is opened, not preloaded. */
static HAK_TLS struct {
    uint32_t units[HAK_SPARSE_PLACES]; /* the first of a span, + 1; 0: none */
    uint32_t bytes;
    uint32_t hand; /* place to look at for the next one that has to go */
} kept;

_Static_assert(HAK_SPARSE_PLACES == 4 * 3, "four classes to a doubling, from 256 KiB to 2 MiB");

/* Places are the classes from the largest regular one down. */
static unsigned place_of(unsigned class)
{
    return hak_classes.regular_count - 1 - class;
}

static unsigned class_at(unsigned place)
{
    return hak_classes.regular_count - 1 - place;
}

static void give(size_t unit, unsigned class)
{
    hak_gauge_class_add(class, mapped_class_bytes, -(int64_t)(units_of(class) << HAK_UNIT_LG));
    if (hak_ace_is_direct(class))
        hak_sparse_give(place_of(class), unit, units_of(class));
    else
        hak_span_give(unit, units_of(class));
}

static size_t unkeep(unsigned class)
{
    uint32_t *first = &kept.units[place_of(class)];
    size_t unit = *first - (size_t)1;
    *first = 0;
    kept.bytes -= hak_classes.size[class];
    return unit;
}

static void give_next(void)
{
    do
        kept.hand = (kept.hand + 1) % HAK_SPARSE_PLACES;
    while (kept.units[kept.hand] == 0);
    give(unkeep(class_at(kept.hand)), class_at(kept.hand));
}

static int keep(size_t unit, unsigned class)
{
    if (!hak_ace_is_direct(class) || kept.units[place_of(class)] != 0)
        return 0;
    kept.bytes += hak_classes.size[class];
    while (kept.bytes > KEPT_MOST_BYTES)
        give_next();
    kept.units[place_of(class)] = (uint32_t)unit + 1;
    return 1;
}

size_t hak_ace_direct_give_kept(void)
{
    size_t bytes = kept.bytes;
    while (kept.bytes != 0)
        give_next();
    return bytes;
}

/* ---- blocks --------------------------------------------------------------------------------- */

/* A sampled block of a smaller class is a span, too. */
static size_t take_span(unsigned class, int *zeroed)
{
    return hak_ace_is_direct(class) ? hak_sparse_take(place_of(class), units_of(class), zeroed)
                                    : hak_span_take(units_of(class), zeroed);
}

static size_t take(unsigned class, int keeps, int *zeroed)
{
    *zeroed = 0;
    if (keeps && kept.units[place_of(class)] != 0)
        return unkeep(class);
    size_t unit = take_span(class, zeroed);
    if (unit != HAK_NO_UNIT)
        hak_gauge_class_add(class, mapped_class_bytes, units_of(class) << HAK_UNIT_LG);
    return unit;
}

void *hak_ace_direct_alloc(unsigned class, int keeps, int *zeroed)
{
    size_t unit = take(class, keeps, zeroed);
    if (unit == HAK_NO_UNIT) {
        errno = ENOMEM;
        return NULL;
    }
    hak_store_relaxed(&hak_zone.map[unit], hak_unit_word(HAK_TAG_DIRECT, class));
    return hak_unit_address(unit);
}

int hak_ace_direct_resize(size_t unit, unsigned class, unsigned new_class)
{
    if (!hak_sparse_resize(unit, units_of(class), units_of(new_class)))
        return 0;
    hak_store_relaxed(&hak_zone.map[unit], hak_unit_word(HAK_TAG_DIRECT, new_class));
    hak_gauge_class_add(class, mapped_class_bytes, -(int64_t)(units_of(class) << HAK_UNIT_LG));
    hak_gauge_class_add(new_class, mapped_class_bytes, units_of(new_class) << HAK_UNIT_LG);
    return 1;
}

void hak_ace_direct_free(size_t unit, unsigned class, int keeps)
{
    hak_store_relaxed(&hak_zone.map[unit], 0);
    if (!keeps || !keep(unit, class))
        give(unit, class);
}
