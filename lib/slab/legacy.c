#include "slab/legacy.h"

#include "slab/private.h"

void *hak_legacy_alloc(unsigned class)
{
    void *block = hak_private_alloc(HAK_PRIVATE_LEGACY, class);
    if (block != NULL)
        hak_gauge_class_add(class, legacy_allocs, 1);
    return block;
}

void hak_legacy_free(size_t unit, void *block)
{
    unsigned class = hak_load_relaxed(&hak_zone.map[unit]) & HAK_CLASS_MASK;
    if (hak_private_free(unit, block))
        hak_gauge_class_add(class, legacy_frees, 1);
}
