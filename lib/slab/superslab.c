#include "slab/superslab.h"

#include <sys/mman.h>

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/home.h"

static size_t bytes_of(const struct hak_superslab *superslab)
{
    return (size_t)superslab->slots << HAK_UNIT_LG;
}

static void count_mapped(const struct hak_superslab *superslab)
{
    hak_gauge_add(superslabs, 1);
    hak_gauge_add(superslab_maps, 1);
    hak_gauge_add(mapped_bytes, bytes_of(superslab));
    hak_probe_superslab_map((uintptr_t)superslab, bytes_of(superslab));
}

static void count_returned(const struct hak_superslab *superslab)
{
    hak_gauge_add(superslabs, -1);
    hak_gauge_add(superslab_unmaps, 1);
    hak_gauge_add(mapped_bytes, -(int64_t)bytes_of(superslab));
    hak_probe_superslab_unmap((uintptr_t)superslab, bytes_of(superslab));
}

/* A program that has come to use so much of Tiny fills the next SuperSlab too: a huge page then
 * costs one fault instead of 512, and one entry of the TLB. */
#define AUTO_HUGE_AFTER_BYTES (16 * HAK_MIB)

static size_t mapped_now; /* of SuperSlabs that were never given back */

/* Before the first of its pages is touched. */
static void advise(const struct hak_superslab *superslab, size_t bytes)
{
    int64_t policy = hak_knob(thp);
    size_t before = hak_add_relaxed(&mapped_now, bytes);
    if (policy == HAK_THP_OFF || bytes % HAK_HUGE_PAGE_BYTES != 0)
        return;
    if (policy == HAK_THP_ON || before >= AUTO_HUGE_AFTER_BYTES)
        hak_os.advise((void *)superslab, bytes, MADV_HUGEPAGE);
}

struct hak_superslab *hak_superslab_map(unsigned lg)
{
    size_t slots = (size_t)1 << (lg - HAK_UNIT_LG);
    size_t unit = hak_zone_take(slots, slots);
    if (unit == HAK_NO_UNIT)
        return NULL;
    uint64_t *home = hak_home_map(slots);
    if (home == NULL) {
        hak_zone_give(unit, slots);
        errno = ENOMEM;
        return NULL;
    }
    struct hak_superslab *superslab = hak_superslab_at(unit);
    advise(superslab, slots << HAK_UNIT_LG);
    superslab->magic = HAK_SUPERSLAB_MAGIC;
    superslab->home = home;
    superslab->unit = (uint32_t)unit;
    superslab->slots = (uint32_t)slots;
    for (unsigned i = 0; i < slots; i++)
        hak_store_relaxed(&hak_zone.state[unit + i], hak_slot_word(HAK_SLOT_UNUSED, 0, i));
    count_mapped(superslab);
    return superslab;
}

void hak_superslab_unmap(struct hak_superslab *superslab)
{
    size_t unit = superslab->unit, slots = superslab->slots;
    for (size_t i = 0; i < slots; i++) {
        hak_store_relaxed(&hak_zone.map[unit + i], 0);
        hak_store_relaxed(&hak_zone.state[unit + i], 0);
    }
    count_returned(superslab);
    hak_home_unmap(superslab->home, slots);
    hak_add_relaxed(&mapped_now, -(slots << HAK_UNIT_LG));
    hak_zone_give(unit, slots);
}

/* In `use`, which is 0 otherwise. WITHDRAWN: all but the header's page is unmapped. */
#define RETURNED 0x80000000u
#define WITHDRAWN 0x40000000u

/* Guards the way to WITHDRAWN and back; nobody else changes `use` while that is set. */
static struct hak_lock mapping;

static char *body_of(struct hak_superslab *superslab)
{
    return (char *)superslab + HAK_PAGE_BYTES;
}

static int bring_back(struct hak_superslab *superslab)
{
    int done = 1;
    hak_lock_take(&mapping);
    if (hak_load_relaxed(&superslab->use) & WITHDRAWN) {
        done = hak_os.map(body_of(superslab), bytes_of(superslab) - HAK_PAGE_BYTES) != NULL;
        if (done)
            hak_store_release(&superslab->use, RETURNED);
    }
    hak_lock_release(&mapping);
    return done;
}

int hak_superslab_enter(struct hak_superslab *superslab)
{
    uint32_t use = hak_load_acquire(&superslab->use);
    for (;;) {
        if (hak_unlikely(use & WITHDRAWN)) {
            if (!bring_back(superslab))
                return 0;
            use = hak_load_acquire(&superslab->use);
        } else if (hak_cas_acq_rel(&superslab->use, &use, (use & ~RETURNED) + 1)) {
            break;
        }
    }
    if (use & RETURNED)
        count_mapped(superslab);
    return 1;
}

size_t hak_superslab_withdraw(struct hak_superslab *superslab)
{
    size_t bytes = bytes_of(superslab) - HAK_PAGE_BYTES;
    uint32_t returned = RETURNED;
    hak_lock_take(&mapping);
    int done = hak_cas_acq_rel(&superslab->use, &returned, RETURNED | WITHDRAWN);
    if (done) {
        for (uint32_t i = 0; i < superslab->slots; i++)
            hak_store_relaxed(&hak_zone.map[superslab->unit + i], 0);
        done = hak_os.unmap(body_of(superslab), bytes) == 0;
        if (!done)
            hak_store_release(&superslab->use, RETURNED);
    }
    hak_lock_release(&mapping);
    return done ? bytes : 0;
}

void hak_superslab_fork_prepare(void)
{
    hak_lock_take(&mapping);
}

void hak_superslab_fork_done(int in_child)
{
    hak_lock_fork_done(&mapping, in_child);
}

void hak_superslab_leave(struct hak_superslab *superslab)
{
    uint32_t use = hak_load_relaxed(&superslab->use);
    while (!hak_cas_acq_rel(&superslab->use, &use, use == 1 ? RETURNED : use - 1))
        ;
    if (use == 1)
        count_returned(superslab);
}

void hak_slab_set_owner(struct hak_slab *slab, uint32_t owner)
{
    hak_store_relaxed(&hak_zone.map[hak_slab_unit(slab)], hak_unit_word(owner, slab->class));
}

static size_t header_of(const struct hak_slab *slab)
{
    return slab->index == 0 ? HAK_SUPERSLAB_HEADER_BYTES : 0;
}

/* Pages of the unit that lie below the last block cut. */
static size_t pages_cut(const struct hak_slab *slab)
{
    if (slab->carved == 0)
        return 0;
    size_t size = hak_classes.size[slab->class];
    return (header_of(slab) + slab->carved * size) / HAK_PAGE_BYTES;
}

unsigned hak_slab_warm_pages(const struct hak_slab *slab)
{
    return (unsigned)hak_max(slab->warm, pages_cut(slab));
}

void hak_slab_uncut(struct hak_slab *slab)
{
    hak_home_clear(slab); /* as far as blocks were cut */
    slab->carved = 0;
}

struct hak_slab *hak_slab_open(size_t unit, unsigned index, unsigned class, uint32_t owner)
{
    struct hak_slab *slab = &hak_superslab_at(unit - index)->slab[index];
    slab->warm = (uint8_t)hak_slab_warm_pages(slab);
    hak_slab_uncut(slab);
    slab->linked = NULL;
    slab->next = slab->prev = NULL;
    slab->used = slab->linked_count = 0;
    slab->class = (uint8_t)class;
    slab->index = (uint8_t)index;
    slab->capacity = (uint16_t)((HAK_UNIT_BYTES - header_of(slab)) / hak_classes.size[class]);
    slab->full = 0;
    hak_slab_set_owner(slab, owner);
    return slab;
}

static void forget_linked(struct hak_slab *slab)
{
    slab->linked = NULL;
    slab->linked_count = 0;
}

/* A link that leaves the slab was overwritten by the program: what it leads to is given
 * up, not followed. */
static void drop_linked(struct hak_slab *slab, const void *block, const void *got)
{
    hak_integrity(HAK_INTEGRITY_FREE_LINK, block, (uintptr_t)got, slab->class);
    forget_linked(slab);
}

/* A list up to this many times as long as wanted is taken whole rather than walked. */
#define WHOLE_FACTOR 2

static unsigned take_linked(struct hak_slab *slab, unsigned want, void **list)
{
    void *first = slab->linked, *last = first;
    unsigned count = 1;
    if (hak_unlikely(!hak_slab_holds(slab, first))) {
        drop_linked(slab, slab, first);
        return 0;
    }
    if (*list == NULL && slab->linked_count <= want * WHOLE_FACTOR) {
        count = slab->linked_count;
        *list = first;
        forget_linked(slab);
        return count;
    }
    for (void *next; count < want && (next = *(void **)last) != NULL; count++) {
        if (hak_unlikely(!hak_slab_holds(slab, next))) {
            drop_linked(slab, last, next);
            *(void **)last = NULL;
            break;
        }
        last = next;
    }
    if (slab->linked != NULL) {
        slab->linked = *(void **)last;
        slab->linked_count = (uint16_t)(slab->linked_count - count);
        if (slab->linked == NULL) /* a block freed twice was counted twice */
            forget_linked(slab);
    }
    *(void **)last = *list;
    *list = first;
    return count;
}

static unsigned carve(struct hak_slab *slab, unsigned want, void **list)
{
    size_t size = hak_classes.size[slab->class];
    char *start = hak_slab_blocks(slab) + slab->carved * size;
    size_t offset = (uintptr_t)start & (HAK_UNIT_BYTES - 1);
    size_t end = hak_max(hak_align_up(offset + 1, HAK_PAGE_BYTES),
                         (size_t)slab->warm * HAK_PAGE_BYTES);
    unsigned count = (unsigned)hak_max((end - offset) / size, 1);
    count = (unsigned)hak_min(count, hak_min(want, (size_t)(slab->capacity - slab->carved)));
    char *block = start;
    for (unsigned i = 1; i < count; i++, block += size)
        *(void **)block = block + size;
    *(void **)block = *list;
    *list = start;
    slab->carved = (uint16_t)(slab->carved + count);
    return count;
}

unsigned hak_slab_take(struct hak_slab *slab, unsigned want, void **list)
{
    unsigned got = 0;
    if (slab->home != 0)
        got = hak_home_take(slab, want, list);
    else if (slab->linked != NULL)
        got = take_linked(slab, want, list);
    if (got == 0 && slab->carved < slab->capacity)
        got = carve(slab, want, list);
    slab->used = (uint16_t)(slab->used + got);
    return got;
}

void hak_integrity(unsigned kind, const void *address, uint64_t got, uint64_t expected)
{
    hak_gauge_add(integrity_errors, 1);
    hak_probe_integrity(kind, (uintptr_t)address, got, expected);
}
