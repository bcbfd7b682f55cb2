/*
 * ace_direct.c - the larger Large classes: a block is a span of its own.
 */
#include "mid/ace.h"

#include "mid/span.h"

static size_t units_of(unsigned class)
{
    return (hak_classes.size[class] + HAK_UNIT_BYTES - 1) >> HAK_UNIT_LG;
}

/* ---- the thread's own ----------------------------------------------------------------------- */

/* What a thread frees it keeps, one block of a class and so many bytes in all: spans cost two
 * atomic steps each way, which wait for the stores into the block that has just been used. */
#define KEPT_MOST_BYTES ((size_t)4 * HAK_MIB)

static HAK_TLS struct {
    uint32_t place[HAK_CLASS_CAPACITY]; /* unit + 1; 0: none */
    size_t bytes;
    unsigned hand; /* class to look at for the next one that has to go */
} kept;

static void give(size_t unit, unsigned class)
{
    hak_gauge_class_add(class, mapped_class_bytes, -(int64_t)(units_of(class) << HAK_UNIT_LG));
    hak_span_give(unit, units_of(class));
}

static size_t unkeep(unsigned class)
{
    size_t unit = kept.place[class] - (size_t)1;
    kept.place[class] = 0;
    kept.bytes -= hak_classes.size[class];
    return unit;
}

static void give_next(void)
{
    do
        kept.hand = (kept.hand + 1) % HAK_CLASS_CAPACITY;
    while (kept.place[kept.hand] == 0);
    unsigned class = kept.hand;
    give(unkeep(class), class);
}

static int keep(size_t unit, unsigned class)
{
    if (!hak_ace_is_direct(class) || kept.place[class] != 0)
        return 0;
    kept.bytes += hak_classes.size[class];
    while (kept.bytes > KEPT_MOST_BYTES)
        give_next();
    kept.place[class] = (uint32_t)unit + 1;
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

static size_t take(unsigned class, int keeps, int *zeroed)
{
    *zeroed = 0;
    if (keeps && kept.place[class] != 0)
        return unkeep(class);
    size_t unit = hak_span_take(units_of(class), zeroed);
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
    if (!hak_span_resize(unit, units_of(class), units_of(new_class)))
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
