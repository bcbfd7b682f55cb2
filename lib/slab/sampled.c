#include "slab/sampled.h"

#include "core/codes.h"
#include "core/counters.h"
#include "os/lock.h"
#include "slab/superslab.h"

/* At the start of its unit; blocks follow. */
struct mapping {
    struct hak_granules granules;
    struct mapping *next, *prev; /* mappings with room */
    unsigned free;               /* granules */
    int is_listed;
};

#define HEADER_GRANULES \
    ((unsigned)((sizeof(struct mapping) + HAK_GRANULE_BYTES - 1) / HAK_GRANULE_BYTES))
#define BLOCK_GRANULES (HAK_GRANULES - HEADER_GRANULES)

/* A mapping with less has no room, and when so many have no gap that is large enough, another is
 * mapped: a sample is not worth a longer search. */
#define LEAST_FREE 64
#define MOST_LOOKS 8

static struct hak_lock lock;
static struct mapping *with_room;

static void link_mapping(struct mapping *m)
{
    m->is_listed = 1;
    m->prev = NULL;
    m->next = with_room;
    if (m->next != NULL)
        m->next->prev = m;
    with_room = m;
}

static void unlink_mapping(struct mapping *m)
{
    m->is_listed = 0;
    if (m->prev != NULL)
        m->prev->next = m->next;
    else
        with_room = m->next;
    if (m->next != NULL)
        m->next->prev = m->prev;
}

static struct mapping *map(void)
{
    size_t unit = hak_zone_take(1, 1);
    if (unit == HAK_NO_UNIT)
        return NULL;
    struct mapping *m = (struct mapping *)hak_unit_address(unit);
    hak_granules_set(&m->granules, 0, HEADER_GRANULES, 1);
    m->free = BLOCK_GRANULES;
    hak_store_release(&hak_zone.map[unit], HAK_SAMPLED_WORD);
    hak_gauge_add(mapped_bytes, HAK_UNIT_BYTES);
    link_mapping(m);
    return m;
}

static void unmap(struct mapping *m)
{
    size_t unit = hak_unit_of(m);
    hak_gauge_add(mapped_bytes, -(int64_t)HAK_UNIT_BYTES);
    hak_store_relaxed(&hak_zone.map[unit], 0);
    hak_zone_give(unit, 1);
}

static void *take_from(struct mapping *m, unsigned class)
{
    const unsigned size = hak_granules_for(class);
    for (unsigned end, at = hak_granules_next_free(&m->granules, 0); at < HAK_GRANULES;
         at = hak_granules_next_free(&m->granules, end)) {
        end = hak_granules_gap_end(&m->granules, at);
        at = (unsigned)hak_align_up(at, hak_granules_step(class));
        if (at + size > end)
            continue;
        hak_granules_take(&m->granules, class, at);
        m->free -= size;
        if (m->free < LEAST_FREE)
            unlink_mapping(m);
        return (char *)m + ((size_t)at << HAK_GRANULE_LG);
    }
    return NULL;
}

static void *take(unsigned class)
{
    void *block = NULL;
    struct mapping *m = with_room;
    for (int looks = 0; block == NULL && m != NULL && looks < MOST_LOOKS; looks++, m = m->next)
        block = take_from(m, class);
    if (block == NULL && (m = map()) != NULL)
        block = take_from(m, class);
    return block;
}

void *hak_sampled_alloc(unsigned class)
{
    hak_lock_take(&lock);
    void *block = take(class);
    hak_lock_release(&lock);
    if (block == NULL)
        errno = ENOMEM;
    else
        hak_gauge_class_add(class, mapped_class_bytes, hak_classes.size[class]);
    return block;
}

/* The last one stays: samples come and go too often to map for each. */
static void give(struct mapping *m, unsigned class, const void *block)
{
    hak_granules_give(&m->granules, class, hak_granule_of(block));
    m->free += hak_granules_for(class);
    if (!m->is_listed && m->free >= LEAST_FREE)
        link_mapping(m);
    if (m->free == BLOCK_GRANULES && (m->next != NULL || m->prev != NULL)) {
        unlink_mapping(m);
        unmap(m);
    }
}

void hak_sampled_free(void *block)
{
    hak_lock_take(&lock);
    unsigned class = hak_sampled_class(block);
    if (class != HAK_CLASS_NONE)
        give((struct mapping *)hak_unit_address(hak_unit_of(block)), class, block);
    hak_lock_release(&lock);
    if (class != HAK_CLASS_NONE)
        hak_gauge_class_add(class, mapped_class_bytes, -(int64_t)hak_classes.size[class]);
    else
        hak_integrity(HAK_INTEGRITY_BAD_FREE, block, 0, class);
}

void hak_sampled_fork_prepare(void)
{
    hak_lock_take(&lock);
}

void hak_sampled_fork_done(int in_child)
{
    hak_lock_fork_done(&lock, in_child);
}
