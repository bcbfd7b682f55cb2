#include "mid/growing.h"

#include <sys/mman.h>

#include "base/gaps.h"
#include "core/counters.h"
#include "mid/span.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/shared_pool.h"

#define CHUNK_UNITS 4
#define PAGES_A_UNIT (HAK_UNIT_BYTES / HAK_PAGE_BYTES)
#define SHARDS 4
#define SHARD_CHUNKS ((size_t)1 << 13) /* 2 GiB of chunks */

_Static_assert(CHUNK_UNITS * PAGES_A_UNIT == HAK_GAP_MOST, "a chunk's pages are a word of bits");
_Static_assert(HAK_CLASS_PAGES == HAK_GAP_MOST, "every block has a class to count as");
_Static_assert(HAK_GROWING_MOST_BYTES <= CHUNK_UNITS * HAK_UNIT_BYTES, "a block fits a chunk");

struct chunk {
    uint64_t used;  /* pages that are taken, or that it does not have */
    uint64_t never; /* of these, the ones that it does not have */
    uint64_t dirty; /* free pages with contents */
    uint64_t stale; /* of these, the ones that were dirty at the last purge already */
    uint32_t unit;  /* first one */
    uint8_t units;  /* 0: none, and `used` is full */
    uint8_t is_lent;
    uint8_t pages[HAK_GAP_MOST]; /* of the block that begins at a page; 0: none does */
};

static struct shard {
    struct hak_lock lock;
    size_t count; /* chunks up to the last one */
    size_t gone;  /* of these, the ones that were given back */
    size_t lowest_gone; /* none of them is below */
    struct hak_gap_index gaps;
    struct chunk chunks[SHARD_CHUNKS];
} HAK_CACHE_ALIGNED shards[SHARDS];

static size_t pages_for(size_t bytes)
{
    return (bytes + HAK_PAGE_BYTES - 1) / HAK_PAGE_BYTES;
}

static void count(size_t pages, int sign)
{
    int64_t bytes = sign * (int64_t)(pages * HAK_PAGE_BYTES);
    hak_gauge_add(growing_bytes, bytes);
    hak_gauge_class_add(hak_class_of_pages(pages), mapped_class_bytes, bytes);
}

/* ---- where a block lies ------------------------------------------------------------------ */

/* A unit's word in the table of runs names its chunk. */
static struct shard *shard_of(const void *block)
{
    return &shards[hak_load_relaxed(&hak_zone.run[hak_unit_of(block)]) % SHARDS];
}

static struct chunk *chunk_of(struct shard *shard, const void *block)
{
    return &shard->chunks[hak_load_relaxed(&hak_zone.run[hak_unit_of(block)]) / SHARDS];
}

static unsigned page_of(const struct chunk *chunk, const void *block)
{
    size_t offset = (size_t)((const char *)block - hak_unit_address(chunk->unit));
    return (unsigned)(offset / HAK_PAGE_BYTES);
}

/* Pages of the block; 0: none begins there. Only who has the block changes them, and needs no lock
 * to read them. */
static size_t pages_of(const struct chunk *chunk, const void *block)
{
    size_t unit = hak_unit_of(block) - chunk->unit;
    if (unit >= chunk->units || (uintptr_t)block % HAK_PAGE_BYTES != 0)
        return 0;
    return hak_load_relaxed(&chunk->pages[page_of(chunk, block)]);
}

size_t hak_growing_bytes(const void *block)
{
    return pages_of(chunk_of(shard_of(block), block), block) * HAK_PAGE_BYTES;
}

/* ---- chunks ------------------------------------------------------------------------------ */

/* The place of a chunk that was given back, or the next one. */
static size_t free_index(const struct shard *shard)
{
    for (size_t i = shard->lowest_gone; shard->gone != 0 && i < shard->count; i++)
        if (shard->chunks[i].units == 0)
            return i;
    return shard->count;
}

static void mark_units(const struct chunk *chunk, uint32_t word, uint32_t id)
{
    for (uint32_t i = 0; i < chunk->units; i++) {
        hak_store_relaxed(&hak_zone.run[chunk->unit + i], id);
        hak_store_relaxed(&hak_zone.map[chunk->unit + i], word);
    }
}

/* A unit that is in memory already, if the block fits; a page of it may be another's header. */
static int borrow(struct chunk *chunk, size_t pages)
{
    size_t reserved = 0;
    if (pages >= PAGES_A_UNIT)
        return 0;
    size_t unit = hak_pool_lend(HAK_PAGE_BYTES, &reserved);
    if (unit == HAK_NO_UNIT)
        return 0;
    uint64_t absent = ~hak_gap_mask(0, PAGES_A_UNIT);
    if (reserved != 0)
        absent |= 1;
    *chunk = (struct chunk){.used = absent, .never = absent, .unit = (uint32_t)unit, .units = 1,
                            .is_lent = 1};
    return 1;
}

static int take_span(struct chunk *chunk)
{
    int zeroed;
    size_t unit = hak_span_take(CHUNK_UNITS, &zeroed);
    if (unit == HAK_NO_UNIT)
        return 0;
    *chunk = (struct chunk){.dirty = zeroed ? 0 : ~(uint64_t)0, .unit = (uint32_t)unit,
                            .units = CHUNK_UNITS};
    return 1;
}

static struct chunk *add_chunk(struct shard *shard, size_t pages)
{
    size_t index = free_index(shard);
    if (index == SHARD_CHUNKS) {
        errno = ENOMEM;
        return NULL;
    }
    struct chunk *chunk = &shard->chunks[index];
    if (!borrow(chunk, pages) && !take_span(chunk))
        return NULL;
    if (index == shard->count) {
        hak_store_relaxed(&shard->count, index + 1);
    } else {
        shard->gone--;
        shard->lowest_gone = index + 1;
    }
    mark_units(chunk, hak_unit_word(HAK_TAG_GROWING, 0),
               (uint32_t)(index * SHARDS + (size_t)(shard - shards)));
    hak_gap_opens(&shard->gaps, index, chunk->is_lent ? PAGES_A_UNIT : HAK_GAP_MOST);
    return chunk;
}

static void remove_chunk(struct shard *shard, struct chunk *chunk)
{
    const struct chunk was = *chunk;
    mark_units(chunk, 0, 0);
    *chunk = (struct chunk){.used = ~(uint64_t)0};
    shard->gone++;
    shard->lowest_gone = hak_min(shard->lowest_gone, (size_t)(chunk - shard->chunks));
    if (was.is_lent)
        hak_pool_take_back(was.unit, HAK_UNIT_BYTES);
    else
        hak_span_give(was.unit, was.units);
}

/* ---- blocks ------------------------------------------------------------------------------ */

static void use_pages(struct chunk *chunk, uint64_t mask)
{
    chunk->used |= mask;
    chunk->dirty &= ~mask;
    chunk->stale &= ~mask;
}

static void *take_pages(struct chunk *chunk, unsigned at, size_t pages)
{
    use_pages(chunk, hak_gap_mask(at, pages));
    hak_store_relaxed(&chunk->pages[at], (uint8_t)pages);
    count(pages, 1);
    return hak_unit_address(chunk->unit) + at * HAK_PAGE_BYTES;
}

/* In the first chunk with a gap. */
static void *take_first(struct shard *shard, size_t pages)
{
    for (size_t i = shard->gaps.first[pages]; i < shard->count; i++) {
        int at = hak_gap_find(shard->chunks[i].used, pages);
        if (at >= 0) {
            hak_gap_none_below(&shard->gaps, i, pages);
            return take_pages(&shard->chunks[i], (unsigned)at, pages);
        }
    }
    hak_gap_none_below(&shard->gaps, shard->count, pages);
    return NULL;
}

static void *take_held(struct shard *shard, size_t pages, size_t roomy)
{
    void *block = roomy > pages ? take_first(shard, roomy) : NULL;
    return block != NULL ? block : take_first(shard, pages);
}

/* What a neighbour has serves before a chunk is mapped; one that is busy is passed by. */
static void *steal(unsigned seat, size_t pages)
{
    void *block = NULL;
    for (unsigned i = 1; block == NULL && i < SHARDS; i++) {
        struct shard *shard = &shards[(seat + i) % SHARDS];
        if (hak_load_relaxed(&shard->count) == 0 || !hak_lock_try(&shard->lock))
            continue;
        block = take_first(shard, pages);
        hak_lock_release(&shard->lock);
    }
    return block;
}

static void *take_new(struct shard *shard, size_t pages)
{
    hak_lock_take(&shard->lock);
    void *block = add_chunk(shard, pages) != NULL ? take_first(shard, pages) : NULL;
    hak_lock_release(&shard->lock);
    return block;
}

void *hak_growing_alloc(size_t bytes, size_t roomy, unsigned seat, int may_be_new)
{
    size_t pages = pages_for(bytes), more = hak_min(pages_for(roomy), HAK_GAP_MOST);
    struct shard *shard = &shards[seat % SHARDS];
    hak_lock_take(&shard->lock);
    void *block = take_held(shard, pages, more);
    hak_lock_release(&shard->lock);
    if (block == NULL)
        block = steal(seat % SHARDS, pages);
    return block == NULL && may_be_new ? take_new(shard, pages) : block;
}

static void give_pages(struct shard *shard, struct chunk *chunk, unsigned at, size_t pages)
{
    chunk->used &= ~hak_gap_mask(at, pages);
    chunk->dirty |= hak_gap_mask(at, pages);
    hak_gap_opens(&shard->gaps, (size_t)(chunk - shard->chunks),
                  hak_gap_around(chunk->used, at, pages));
}

static size_t resize(struct shard *shard, void *block, size_t pages)
{
    struct chunk *chunk = chunk_of(shard, block);
    unsigned at = page_of(chunk, block);
    size_t had = chunk->pages[at];
    if (pages < had) {
        give_pages(shard, chunk, at + (unsigned)pages, had - pages);
    } else if (pages > had) {
        uint64_t more = pages <= HAK_GAP_MOST - at
                            ? hak_gap_mask(at + (unsigned)had, pages - had)
                            : ~(uint64_t)0;
        if (chunk->used & more)
            return 0;
        use_pages(chunk, more);
    }
    hak_store_relaxed(&chunk->pages[at], (uint8_t)pages);
    count(had, -1);
    count(pages, 1);
    return pages * HAK_PAGE_BYTES;
}

size_t hak_growing_resize(void *block, size_t bytes, size_t roomy)
{
    struct shard *shard = shard_of(block);
    size_t got = 0, pages = pages_for(bytes), more = hak_min(pages_for(roomy), HAK_GAP_MOST);
    hak_lock_take(&shard->lock);
    if (more > pages)
        got = resize(shard, block, more);
    if (got == 0)
        got = resize(shard, block, pages);
    hak_lock_release(&shard->lock);
    return got;
}

size_t hak_growing_free(void *block)
{
    struct shard *shard = shard_of(block);
    hak_lock_take(&shard->lock);
    struct chunk *chunk = chunk_of(shard, block);
    size_t pages = pages_of(chunk, block);
    if (pages != 0) {
        unsigned at = page_of(chunk, block);
        hak_store_relaxed(&chunk->pages[at], 0);
        count(pages, -1);
        give_pages(shard, chunk, at, pages);
        if (chunk->used == chunk->never)
            remove_chunk(shard, chunk);
    }
    hak_lock_release(&shard->lock);
    return pages * HAK_PAGE_BYTES;
}

/* ---- purge ------------------------------------------------------------------------------- */

static size_t purge_chunk(struct chunk *chunk)
{
    size_t bytes = 0;
    for (uint64_t left = chunk->dirty & chunk->stale; left != 0;) {
        unsigned at;
        size_t pages = hak_gap_row(left, &at), row_bytes = pages * HAK_PAGE_BYTES;
        char *start = hak_unit_address(chunk->unit) + at * HAK_PAGE_BYTES;
        left &= ~hak_gap_mask(at, pages);
        if (hak_os.advise(start, row_bytes, MADV_DONTNEED) != 0) /* locked memory */
            continue;
        chunk->dirty &= ~hak_gap_mask(at, pages);
        bytes += row_bytes;
    }
    chunk->stale = chunk->dirty;
    return bytes;
}

/* Slots on loan are Tiny's, who knows of each how much of it is warm. */
size_t hak_growing_purge(void)
{
    size_t bytes = 0;
    for (struct shard *shard = shards; shard < shards + SHARDS; shard++) {
        hak_lock_take(&shard->lock);
        for (size_t i = 0; i < shard->count; i++)
            if (!shard->chunks[i].is_lent)
                bytes += purge_chunk(&shard->chunks[i]);
        hak_lock_release(&shard->lock);
    }
    return bytes;
}

/* ---- fork -------------------------------------------------------------------------------- */

void hak_growing_fork_prepare(void)
{
    for (size_t i = 0; i < SHARDS; i++)
        hak_lock_take(&shards[i].lock);
}

void hak_growing_fork_done(int in_child)
{
    for (size_t i = 0; i < SHARDS; i++)
        hak_lock_fork_done(&shards[i].lock, in_child);
}
