#include "slab/mixed.h"

#include <sys/mman.h>

#include "base/gaps.h"
#include "core/codes.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/granules.h"
#include "slab/home.h"
#include "slab/places.h"
#include "slab/remote.h"
#include "slab/shared_pool.h"

#define SHARDS 4
#define PLACES_A_PART HAK_MIXED_PLACES_A_PART
#define PAGES_A_UNIT (HAK_UNIT_BYTES / HAK_PAGE_BYTES)

_Static_assert(HAK_MIXED_PARTS * PLACES_A_PART == SHARDS * HAK_PLACES, "places have parts");

static struct shard {
    struct hak_lock lock;
    struct hak_places places;
} HAK_CACHE_ALIGNED shards[SHARDS];

struct hak_granules *hak_mixed_parts[HAK_MIXED_PARTS];

int hak_mixed_serves(unsigned class)
{
    size_t size = hak_classes.size[class];
    return class < hak_classes.mid_count && size <= HAK_SMALL_MAX_BYTES &&
           size % HAK_GRANULE_BYTES == 0;
}

static void count(unsigned class, int64_t blocks)
{
    hak_gauge_class_add(class, mapped_class_bytes, blocks * (int64_t)hak_classes.size[class]);
}

/* ---- where a block lies ------------------------------------------------------------------ */

/* A unit's word in the table of runs names its place: part, shard, place in the part. */
static uint32_t name_of(const struct shard *shard, const struct hak_place *place)
{
    size_t index = (size_t)(place - shard->places.at), part = index / PLACES_A_PART;
    return (uint32_t)((part * SHARDS + (size_t)(shard - shards)) * PLACES_A_PART +
                      index % PLACES_A_PART);
}

static struct shard *shard_of(uint32_t name)
{
    return &shards[name / PLACES_A_PART % SHARDS];
}

static struct hak_place *place_of(uint32_t name)
{
    size_t part = name / PLACES_A_PART / SHARDS;
    return &shard_of(name)->places.at[part * PLACES_A_PART + name % PLACES_A_PART];
}

static struct hak_granules *granules_of(const struct shard *shard, const struct hak_place *place)
{
    return hak_mixed_granules(name_of(shard, place));
}

/* ---- taking -------------------------------------------------------------------------------- */

/* Blocks of the class take [at, end), which is free, and follow what *link ends. Returns where the
 * next one is linked. */
static void **cut(struct hak_granules *granules, char *unit, unsigned class, unsigned at,
                  unsigned end, void **link)
{
    const unsigned size = hak_granules_for(class);
    hak_granules_set(granules, at, end, 1);
    for (; at < end; at += size) {
        hak_store_relaxed(&granules->begins[at], (uint8_t)(class + 1));
        *link = unit + ((size_t)at << HAK_GRANULE_LG);
        link = *link;
    }
    return link;
}

/* Fills the gaps of a place from its start. */
static unsigned take_from(struct shard *shard, struct hak_place *place, unsigned class,
                          unsigned want, void **list)
{
    struct hak_granules *granules = granules_of(shard, place);
    char *unit = hak_unit_address(place->unit);
    const unsigned size = hak_granules_for(class), step = hak_granules_step(class);
    unsigned left = want * size, largest = 0, gap_end, from = HAK_GRANULES, to = 0;
    void *first = NULL, **link = &first;
    for (unsigned gap = hak_granules_next_free(granules, 0); gap < HAK_GRANULES && left != 0;
         gap = hak_granules_next_free(granules, gap_end)) {
        gap_end = hak_granules_gap_end(granules, gap);
        unsigned start = (unsigned)hak_align_up(gap, step), end = start;
        for (; left != 0 && end + size <= gap_end; left -= size)
            end += size;
        if (end == start) {
            largest = (unsigned)hak_max(largest, gap_end - gap);
            continue;
        }
        link = cut(granules, unit, class, start, end, link);
        largest = (unsigned)hak_max(largest, hak_max(start - gap, gap_end - end));
        from = (unsigned)hak_min(from, start);
        to = end;
    }
    place->free = (uint16_t)(place->free + left - want * size);
    if (left != 0)
        hak_place_is_known(place, largest);
    if (to != 0) {
        place->idle &= (uint16_t)~hak_place_pages(from, to);
        place->absent &= (uint16_t)~hak_place_pages(from, to);
    }
    *link = *list;
    *list = first;
    return want - left / size;
}

/* Gaps may lie so that no block of the class can begin in them. */
#define MOST_LOOKS 8

static unsigned take_held(struct shard *shard, unsigned class, unsigned want, void **list)
{
    unsigned got = 0, looks = 0;
    struct hak_places *places = &shard->places;
    size_t i = places->first[class];
    for (; i < places->count && looks < MOST_LOOKS; i++) {
        if (places->at[i].largest < hak_granules_for(class))
            continue;
        looks++;
        if ((got = take_from(shard, &places->at[i], class, want, list)) != 0)
            break;
    }
    hak_places_none_below(places, i, class);
    return got;
}

unsigned hak_mixed_take(unsigned class, unsigned seat, unsigned want, void **list)
{
    unsigned got = 0;
    for (unsigned i = 0; got == 0 && i < SHARDS; i++) {
        struct shard *shard = &shards[(seat + i) % SHARDS];
        if (hak_load_relaxed(&shard->places.count) == 0)
            continue;
        if (i == 0)
            hak_lock_take(&shard->lock);
        else if (!hak_lock_try(&shard->lock)) /* a neighbour that is busy is passed by */
            continue;
        got = take_held(shard, class, want, list);
        hak_lock_release(&shard->lock);
    }
    if (got != 0)
        count(class, got);
    return got;
}

/* ---- the way back -------------------------------------------------------------------------- */

static struct hak_slab *slab_of(const struct hak_place *place)
{
    return hak_slab_of_unit(place->unit);
}

/* A slab that waits in somebody's queue can not go yet: the tick looks again. */
static void release_if_empty(struct shard *shard, struct hak_place *place)
{
    struct hak_slab *slab = slab_of(place);
    if (place->free != place->total || hak_load_relaxed(&slab->remote) != 0)
        return;
    const struct hak_place was = *place;
    slab->used = 0;
    hak_places_leave(&shard->places, place);
    hak_gauge_add(mixed_slots, -1);
    hak_pool_take_back(was.unit, hak_place_warm_bytes(&was));
}

/* Blocks of the class at the head of the list that lie in the unit; returns their number. It ends
 * before one that is none. */
static unsigned give_run(struct shard *shard, struct hak_place *place, unsigned class,
                         unsigned most, void **list)
{
    struct hak_granules *granules = granules_of(shard, place);
    const uintptr_t unit = (uintptr_t)hak_unit_address(place->unit);
    void *block = *list;
    unsigned put = 0;
    for (; put < most && (uintptr_t)block - unit < HAK_UNIT_BYTES; put++) {
        unsigned at = hak_granule_of(block);
        if (hak_unlikely((uintptr_t)block % HAK_GRANULE_BYTES != 0 ||
                         granules->begins[at] != class + 1))
            break;
        block = *(void **)block;
        hak_granules_give(granules, class, at);
    }
    *list = block;
    place->free = (uint16_t)(place->free + put * hak_granules_for(class));
    hak_places_open(&shard->places, place);
    return put;
}

unsigned hak_mixed_put(unsigned class, unsigned most, void **list)
{
    const size_t unit = hak_unit_of(*list);
    const uint32_t name = hak_mixed_name(*list);
    struct shard *shard = shard_of(name);
    struct hak_place *place = place_of(name);
    unsigned put = 0;
    if (hak_unlikely(name >= HAK_MIXED_PARTS * PLACES_A_PART)) /* a bad link, and no such unit */
        return 0;
    hak_lock_take(&shard->lock);
    if (hak_likely(place->unit == unit && place->total != 0))
        put = give_run(shard, place, class, most, list);
    if (put != 0)
        release_if_empty(shard, place);
    hak_lock_release(&shard->lock);
    if (put != 0)
        count(class, -(int64_t)put);
    return put;
}

/* What was sent to the slab by who had not seen yet that it was one no more. */
static void take_late(struct shard *shard, struct hak_place *place)
{
    struct hak_slab *slab = slab_of(place);
    if (hak_remote_take(slab) == 0)
        return;
    void *list = slab->linked;
    unsigned taken = give_run(shard, place, slab->class, slab->linked_count, &list);
    if (taken != slab->linked_count)
        hak_integrity(HAK_INTEGRITY_FREE_LINK, list, place->unit, slab->class);
    slab->linked = NULL;
    slab->linked_count = 0;
    count(slab->class, -(int64_t)taken);
}

/* ---- from slab to mixed unit --------------------------------------------------------------- */

/* A place without a unit, with room for granules. */
static struct hak_place *free_place(struct shard *shard)
{
    size_t index = hak_places_room(&shard->places);
    if (index == HAK_PLACES)
        return NULL;
    struct hak_place *place = &shard->places.at[index];
    struct hak_granules **part = &hak_mixed_parts[name_of(shard, place) / PLACES_A_PART];
    if (*part == NULL)
        hak_store_relaxed(part, hak_os.map(NULL, PLACES_A_PART * sizeof(struct hak_granules)));
    return *part != NULL ? place : NULL;
}

/* Blocks of the slab that are neither home nor linked are taken. Returns their number. */
static unsigned take_used(const struct hak_slab *slab, struct hak_granules *granules)
{
    const unsigned class = slab->class, size = hak_granules_for(class);
    const unsigned base = hak_granule_of(hak_slab_blocks(slab));
    const struct hak_home home = hak_home_of(slab);
    unsigned used = 0;
    __builtin_memset(granules, 0, sizeof *granules);
    if (base != 0)
        hak_granules_set(granules, 0, base, 1);
    for (unsigned from = 0; from < slab->carved; from += HAK_HOME_BITS) {
        uint64_t away = ~*hak_home_word(&home, from / HAK_HOME_BITS);
        for (; away != 0; away &= away - 1) {
            unsigned i = from + (unsigned)__builtin_ctzll(away);
            if (i >= slab->carved)
                break;
            hak_granules_take(granules, class, base + i * size);
            used++;
        }
    }
    const void *block = slab->linked;
    for (unsigned left = slab->linked_count; left != 0 && block != NULL; left--, used--) {
        if (!hak_slab_holds(slab, block))
            break;
        hak_granules_give(granules, class, hak_granule_of(block));
        block = *(void *const *)block;
    }
    return used;
}

static struct hak_place *fill_place(struct shard *shard, const struct hak_slab *slab)
{
    struct hak_place *place = free_place(shard);
    if (place == NULL)
        return NULL;
    const unsigned used = take_used(slab, granules_of(shard, place));
    if (used != slab->used)
        return NULL;
    const unsigned total = (unsigned)HAK_GRANULES - hak_granule_of(hak_slab_blocks(slab));
    const unsigned warm = hak_slab_warm_pages(slab);
    *place = (struct hak_place){
        .unit = (uint32_t)hak_slab_unit(slab),
        .total = (uint16_t)total,
        .free = (uint16_t)(total - used * hak_granules_for(slab->class)),
        .absent = (uint16_t)(warm < PAGES_A_UNIT ? ~0u << (warm + 1) : 0),
    };
    hak_places_enter(&shard->places, place);
    hak_places_open(&shard->places, place);
    return place;
}

/* Who pushes to the slab's remote list from here on finds that nobody owns it; who did before
 * has his blocks taken in now, or on the tick. */
static void change_word(const struct shard *shard, const struct hak_place *place)
{
    hak_store_relaxed(&hak_zone.run[place->unit], name_of(shard, place));
    hak_store_release(&hak_zone.map[place->unit], hak_unit_word(HAK_TAG_MIXED, 0));
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with slab/remote's announce() */
}

int hak_mixed_convert(struct hak_slab *slab, unsigned seat)
{
    struct shard *shard = &shards[seat % SHARDS];
    unsigned class = slab->class;
    if (!hak_mixed_serves(class))
        return 0;
    hak_lock_take(&shard->lock);
    struct hak_place *place = fill_place(shard, slab);
    if (place != NULL) {
        hak_home_clear(slab);
        slab->linked = NULL;
        slab->linked_count = 0;
        change_word(shard, place);
        hak_pool_part_with(slab);
        hak_gauge_add(mixed_slots, 1);
        count(class, slab->used);
        take_late(shard, place);
    }
    hak_lock_release(&shard->lock);
    return place != NULL;
}

/* ---- the tick ------------------------------------------------------------------------------ */

static uint16_t free_pages(struct shard *shard, const struct hak_place *place)
{
    const struct hak_granules *granules = granules_of(shard, place);
    unsigned pages = 0;
    for (unsigned page = 0; page < PAGES_A_UNIT; page++)
        pages |= (unsigned)hak_granules_page_is_free(granules, page) << page;
    return (uint16_t)pages;
}

static size_t purge_pages(struct shard *shard, struct hak_place *place)
{
    uint16_t now = free_pages(shard, place);
    size_t bytes = 0;
    for (uint64_t left = now & place->idle & ~place->absent & UINT16_MAX; left != 0;) {
        unsigned page;
        size_t pages = hak_gap_row(left, &page), row_bytes = pages * HAK_PAGE_BYTES;
        uint64_t row = hak_gap_mask(page, pages);
        char *start = hak_unit_address(place->unit) + page * HAK_PAGE_BYTES;
        left &= ~row;
        if (hak_os.advise(start, row_bytes, MADV_DONTNEED) != 0) /* locked memory */
            continue;
        place->absent |= (uint16_t)row;
        bytes += row_bytes;
    }
    place->idle = now;
    return bytes;
}

size_t hak_mixed_tick(void)
{
    size_t bytes = 0;
    for (struct shard *shard = shards; shard < shards + SHARDS; shard++) {
        if (hak_load_relaxed(&shard->places.count) == 0)
            continue;
        hak_lock_take(&shard->lock);
        struct hak_place *place = shard->places.at, *end = place + shard->places.count;
        for (; place < end; place++) {
            if (place->total == 0)
                continue;
            take_late(shard, place);
            release_if_empty(shard, place);
            if (place->total != 0)
                bytes += purge_pages(shard, place);
        }
        hak_lock_release(&shard->lock);
    }
    return bytes;
}

/* ---- fork ---------------------------------------------------------------------------------- */

void hak_mixed_fork_prepare(void)
{
    for (size_t i = 0; i < SHARDS; i++)
        hak_lock_take(&shards[i].lock);
}

void hak_mixed_fork_done(int in_child)
{
    for (size_t i = 0; i < SHARDS; i++)
        hak_lock_fork_done(&shards[i].lock, in_child);
}
