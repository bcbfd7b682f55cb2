#include "slab/legacy.h"

#include "core/codes.h"
#include "core/policy.h"
#include "os/lock.h"

/* At the start of its unit; blocks follow at the next multiple that keeps alignment. */
struct mapping {
    struct mapping *next, *prev; /* mappings of the class with room, under its lock */
    void *free;
    uint32_t used, carved, capacity;
    uint8_t class;
};

#define HEADER_BYTES 2048 /* as a SuperSlab's: keeps the alignment of every class */

struct home {
    struct hak_lock lock;
    struct mapping *with_room;
};

static struct home homes[HAK_TINY_CLASS_CAPACITY];

static void link_mapping(struct home *home, struct mapping *m)
{
    m->prev = NULL;
    m->next = home->with_room;
    if (m->next != NULL)
        m->next->prev = m;
    home->with_room = m;
}

static void unlink_mapping(struct home *home, struct mapping *m)
{
    if (m->prev != NULL)
        m->prev->next = m->next;
    else
        home->with_room = m->next;
    if (m->next != NULL)
        m->next->prev = m->prev;
}

static struct mapping *map(unsigned class)
{
    size_t unit = hak_zone_take(1, 1);
    if (unit == HAK_NO_UNIT)
        return NULL;
    struct mapping *m = (struct mapping *)hak_unit_address(unit);
    m->class = (uint8_t)class;
    m->capacity = (uint32_t)((HAK_UNIT_BYTES - HEADER_BYTES) / hak_classes.size[class]);
    hak_store_relaxed(&hak_zone.map[unit], hak_unit_word(HAK_TAG_LEGACY, class));
    hak_gauge_add(mapped_bytes, HAK_UNIT_BYTES);
    hak_gauge_class_add(class, mapped_class_bytes, HAK_UNIT_BYTES);
    link_mapping(&homes[class], m);
    return m;
}

static void unmap(struct mapping *m)
{
    size_t unit = hak_unit_of(m);
    hak_gauge_add(mapped_bytes, -(int64_t)HAK_UNIT_BYTES);
    hak_gauge_class_add(m->class, mapped_class_bytes, -(int64_t)HAK_UNIT_BYTES);
    hak_store_relaxed(&hak_zone.map[unit], 0);
    hak_zone_give(unit, 1);
}

static void *take_block(struct home *home, struct mapping *m)
{
    void *block = m->free;
    if (block != NULL)
        m->free = *(void **)block;
    else
        block = (char *)m + HEADER_BYTES + (size_t)m->carved++ * hak_classes.size[m->class];
    if (++m->used == m->capacity)
        unlink_mapping(home, m);
    return block;
}

void *hak_legacy_alloc(unsigned class)
{
    struct home *home = &homes[class];
    void *block = NULL;
    hak_lock_take(&home->lock);
    struct mapping *m = home->with_room;
    if (m == NULL)
        m = map(class);
    if (m != NULL)
        block = take_block(home, m);
    hak_lock_release(&home->lock);
    if (block == NULL)
        errno = ENOMEM;
    else
        hak_gauge_class_add(class, legacy_allocs, 1);
    return block;
}

static int put_block(struct home *home, struct mapping *m, void *block)
{
    size_t offset = (size_t)((char *)block - (char *)m) - HEADER_BYTES;
    if (hak_unlikely(m->used == 0 || offset >= m->carved * hak_classes.size[m->class] ||
                     !hak_class_divides(m->class, (uint32_t)offset)))
        return 0;
    *(void **)block = m->free;
    m->free = block;
    if (m->used-- == m->capacity)
        link_mapping(home, m);
    if (m->used == 0) {
        unlink_mapping(home, m);
        unmap(m);
    }
    return 1;
}

void hak_legacy_free(size_t unit, void *block)
{
    struct mapping *m = (struct mapping *)hak_unit_address(unit);
    unsigned class = m->class;
    struct home *home = &homes[class];
    hak_lock_take(&home->lock);
    int taken = put_block(home, m, block);
    hak_lock_release(&home->lock);
    if (taken)
        hak_gauge_class_add(class, legacy_frees, 1);
    else
        hak_integrity(HAK_INTEGRITY_BAD_FREE, block, unit, class);
}

void hak_legacy_fork_prepare(void)
{
    for (size_t c = 0; c < HAK_TINY_CLASS_CAPACITY; c++)
        hak_lock_take(&homes[c].lock);
}

void hak_legacy_fork_done(int in_child)
{
    for (size_t c = 0; c < HAK_TINY_CLASS_CAPACITY; c++)
        hak_lock_fork_done(&homes[c].lock, in_child);
}
