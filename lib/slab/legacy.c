#include "slab/legacy.h"

#include "core/codes.h"
#include "core/policy.h"
#include "os/lock.h"

/* At the start of its unit; blocks follow at the next multiple that keeps alignment. */
struct mapping {
    struct mapping *next, *prev; /* mappings of the class with room, under its lock */
    void *free;
    uint32_t used, carved, capacity;
    uint32_t class;
};

#define HEADER_BYTES 2048 /* as a SuperSlab's: keeps the alignment of every class */

static struct {
    struct hak_lock lock;
    struct mapping *with_room;
} classes[HAK_TINY_CLASS_CAPACITY];

static void link_mapping(struct mapping *m)
{
    m->prev = NULL;
    m->next = classes[m->class].with_room;
    if (m->next != NULL)
        m->next->prev = m;
    classes[m->class].with_room = m;
}

static void unlink_mapping(struct mapping *m)
{
    if (m->prev != NULL)
        m->prev->next = m->next;
    else
        classes[m->class].with_room = m->next;
    if (m->next != NULL)
        m->next->prev = m->prev;
}

static struct mapping *map(unsigned class)
{
    size_t unit = hak_zone_take(1, 1);
    if (unit == HAK_NO_UNIT)
        return NULL;
    struct mapping *m = (struct mapping *)hak_unit_address(unit);
    m->class = class;
    m->capacity = (uint32_t)((HAK_UNIT_BYTES - HEADER_BYTES) / hak_classes.size[class]);
    hak_store_relaxed(&hak_zone.map[unit], hak_unit_word(HAK_TAG_LEGACY, class));
    hak_gauge_add(mapped_bytes, HAK_UNIT_BYTES);
    hak_gauge_class_add(class, mapped_class_bytes, HAK_UNIT_BYTES);
    link_mapping(m);
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

static void *take_block(struct mapping *m)
{
    void *block = m->free;
    if (block != NULL)
        m->free = *(void **)block;
    else
        block = (char *)m + HEADER_BYTES + (size_t)m->carved++ * hak_classes.size[m->class];
    if (++m->used == m->capacity)
        unlink_mapping(m);
    return block;
}

void *hak_legacy_alloc(unsigned class)
{
    void *block = NULL;
    hak_lock_take(&classes[class].lock);
    struct mapping *m = classes[class].with_room;
    if (m == NULL)
        m = map(class);
    if (m != NULL)
        block = take_block(m);
    hak_lock_release(&classes[class].lock);
    if (block != NULL)
        hak_gauge_class_add(class, legacy_allocs, 1);
    else
        errno = ENOMEM;
    return block;
}

void hak_legacy_free(size_t unit, void *block)
{
    struct mapping *m = (struct mapping *)hak_unit_address(unit);
    unsigned class = m->class;
    size_t offset = (size_t)((char *)block - (char *)m) - HEADER_BYTES;
    hak_lock_take(&classes[class].lock);
    if (hak_unlikely(m->used == 0 || offset >= m->carved * hak_classes.size[class] ||
                     !hak_class_divides(class, (uint32_t)offset))) {
        hak_lock_release(&classes[class].lock);
        hak_integrity(HAK_INTEGRITY_BAD_FREE, block, offset, class);
        return;
    }
    *(void **)block = m->free;
    m->free = block;
    if (m->used-- == m->capacity)
        link_mapping(m);
    if (m->used == 0) {
        unlink_mapping(m);
        unmap(m);
    }
    hak_lock_release(&classes[class].lock);
    hak_gauge_class_add(class, legacy_frees, 1);
}

void hak_legacy_fork_prepare(void)
{
    for (size_t c = 0; c < HAK_COUNT_OF(classes); c++)
        hak_lock_take(&classes[c].lock);
}

void hak_legacy_fork_done(int in_child)
{
    for (size_t c = 0; c < HAK_COUNT_OF(classes); c++) {
        if (in_child)
            hak_lock_reset(&classes[c].lock);
        else
            hak_lock_release(&classes[c].lock);
    }
}
