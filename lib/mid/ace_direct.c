/*
 * ace_direct.c - the larger Large classes: a block is a span of its own.
 */
#include "mid/ace.h"

#include "mid/span.h"

static size_t units_of(unsigned class)
{
    return (hak_classes.size[class] + HAK_UNIT_BYTES - 1) >> HAK_UNIT_LG;
}

void *hak_ace_direct_alloc(unsigned class, int *zeroed)
{
    size_t unit = hak_span_take(units_of(class), zeroed);
    if (unit == HAK_NO_UNIT) {
        errno = ENOMEM;
        return NULL;
    }
    hak_store_relaxed(&hak_zone.map[unit], hak_unit_word(HAK_TAG_DIRECT, class));
    hak_gauge_class_add(class, mapped_class_bytes, units_of(class) << HAK_UNIT_LG);
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

void hak_ace_direct_free(size_t unit, unsigned class)
{
    hak_store_relaxed(&hak_zone.map[unit], 0);
    hak_gauge_class_add(class, mapped_class_bytes, -(int64_t)(units_of(class) << HAK_UNIT_LG));
    hak_span_give(unit, units_of(class));
}
