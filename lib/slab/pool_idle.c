/*
 * pool_idle.c - what the shared pool does on the tick: sizes SuperSlabs by their use, gives
 * idle slots back to the OS; and gives back all it can when memory is short.
 */
#include <sys/mman.h>

#include "core/config.h"
#include "os/os.h"
#include "slab/shared_pool.h"
#include "slab/slots.h"

/* ---- sizing ----------------------------------------------------------------- */

#define SMALL_LG 19
#define LARGE_LG 21
/* Half a small SuperSlab of slots in use is little; two of them full are much. Between, the
 * decision stands, so that a class at the border does not swing. */
#define FEW_SLOTS 4
#define MANY_SLOTS 16

void hak_pool_size_superslabs(void)
{
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        uint32_t active = hak_pool_active(class);
        if (active <= FEW_SLOTS)
            hak_store_relaxed(&hak_pools[class].superslab_lg, SMALL_LG);
        else if (active >= MANY_SLOTS)
            hak_store_relaxed(&hak_pools[class].superslab_lg, LARGE_LG);
    }
}

/* ---- purge ------------------------------------------------------------------ */

/* The caller has claimed the slot. The header's page stays. Returns the bytes that went back: none
 * when the OS refuses, which it does while memory is locked. */
static size_t give_back_pages(size_t unit)
{
    size_t kept = hak_slot_index_of(unit) == 0 ? HAK_PAGE_BYTES : 0;
    size_t bytes = HAK_UNIT_BYTES - kept;
    return hak_os.advise(hak_unit_address(unit) + kept, bytes, MADV_DONTNEED) == 0 ? bytes : 0;
}

static void make_unused(size_t unit)
{
    struct hak_slab *slab = hak_slab_of_unit(unit);
    hak_slab_uncut(slab);
    slab->warm = 0;
    hak_superslab_leave(hak_superslab_at(unit - hak_slot_index_of(unit)));
    hak_slot_set(unit, HAK_SLOT_UNUSED, 0);
    hak_slot_list(&hak_pool.unused, unit);
}

static size_t purge_slot(size_t unit)
{
    size_t bytes = give_back_pages(unit);
    if (bytes != 0)
        make_unused(unit);
    else
        hak_slot_make_empty(unit, hak_slot_class_of(unit));
    return bytes;
}

size_t hak_pool_purge(void)
{
    size_t bytes = 0;
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        struct hak_class_pool *home = &hak_pools[class];
        for (uint32_t idle = hak_load_relaxed(&home->empty_least); idle != 0; idle--) {
            size_t unit = hak_slot_pop_empty(class);
            if (unit == HAK_NO_UNIT)
                break;
            bytes += purge_slot(unit);
        }
        hak_store_relaxed(&home->empty_least, hak_load_relaxed(&home->empty_count));
    }
    return bytes;
}

static size_t withdraw_returned(unsigned class)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < hak_load_acquire(&hak_pools[class].registered); i++)
        bytes += hak_superslab_withdraw(hak_superslab_at(hak_registry[i][class]));
    return bytes;
}

size_t hak_pool_reclaim(void)
{
    size_t bytes = 0, unit;
    for (unsigned class = 0; class < hak_classes.tiny_count; class++)
        while ((unit = hak_slot_pop_empty(class)) != HAK_NO_UNIT) {
            give_back_pages(unit);
            make_unused(unit);
        }
    for (unsigned class = 0; class < hak_classes.tiny_count; class++)
        bytes += withdraw_returned(class);
    return bytes;
}
