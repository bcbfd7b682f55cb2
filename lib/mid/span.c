#include "mid/span.h"

#include <sys/mman.h>

#include "base/gaps.h"
#include "core/counters.h"
#include "os/lock.h"
#include "os/os.h"

#define CHUNK_UNITS 64
#define CHUNK_CAPACITY ((size_t)1 << 17) /* 512 GiB of chunks */

struct chunk {
    uint64_t used;  /* units that are taken */
    uint64_t dirty; /* free units with contents */
    uint64_t stale; /* of these, the ones that were dirty at the last purge already */
    uint32_t unit;  /* first one, or NO_CHUNK: given back, and none of its units is free */
};

#define NO_CHUNK UINT32_MAX

static struct {
    struct hak_lock lock;
    size_t count;
    size_t gone; /* chunks that were given back */
    struct hak_gap_index gaps;
    struct chunk chunks[CHUNK_CAPACITY];
} spans;

/* The place of a chunk that was given back, or the next one. */
static size_t free_index(void)
{
    for (size_t i = 0; spans.gone != 0 && i < spans.count; i++)
        if (spans.chunks[i].unit == NO_CHUNK)
            return i;
    return spans.count;
}

static struct chunk *add_chunk(void)
{
    size_t index = free_index();
    if (index == CHUNK_CAPACITY) {
        errno = ENOSPC;
        return NULL;
    }
    size_t unit = hak_zone_take(CHUNK_UNITS, CHUNK_UNITS);
    if (unit == HAK_NO_UNIT)
        return NULL;
    if (index == spans.count)
        spans.count++;
    else
        spans.gone--;
    spans.chunks[index] = (struct chunk){.unit = (uint32_t)unit};
    hak_gap_opens(&spans.gaps, index, CHUNK_UNITS);
    hak_store_relaxed(&hak_zone.next[unit], (uint32_t)index);
    hak_gauge_add(mapped_bytes, CHUNK_UNITS * HAK_UNIT_BYTES);
    return &spans.chunks[index];
}

static size_t take_gap(struct chunk *chunk, unsigned at, size_t units, int *zeroed)
{
    uint64_t mask = hak_gap_mask(at, units);
    *zeroed = (chunk->dirty & mask) == 0;
    chunk->used |= mask;
    chunk->dirty &= ~mask;
    chunk->stale &= ~mask;
    return chunk->unit + at;
}

static size_t take(size_t units, int *zeroed)
{
    for (size_t i = spans.gaps.first[units]; i < spans.count; i++) {
        int at = hak_gap_find(spans.chunks[i].used, units);
        if (at >= 0) {
            hak_gap_none_below(&spans.gaps, i, units);
            return take_gap(&spans.chunks[i], (unsigned)at, units, zeroed);
        }
    }
    hak_gap_none_below(&spans.gaps, spans.count, units);
    struct chunk *chunk = add_chunk();
    return chunk != NULL ? take_gap(chunk, 0, units, zeroed) : HAK_NO_UNIT;
}

size_t hak_span_take(size_t units, int *zeroed)
{
    hak_lock_take(&spans.lock);
    size_t unit = take(units, zeroed);
    hak_lock_release(&spans.lock);
    return unit;
}

static void give(struct chunk *chunk, size_t index, unsigned at, size_t units)
{
    uint64_t mask = hak_gap_mask(at, units);
    chunk->used &= ~mask;
    chunk->dirty |= mask;
    hak_gap_opens(&spans.gaps, index, hak_gap_around(chunk->used, at, units));
}

void hak_span_give(size_t unit, size_t units)
{
    size_t at = unit % CHUNK_UNITS, index = hak_zone.next[unit - at];
    hak_lock_take(&spans.lock);
    give(&spans.chunks[index], index, (unsigned)at, units);
    hak_lock_release(&spans.lock);
}

int hak_span_resize(size_t unit, size_t units, size_t new_units)
{
    size_t at = unit % CHUNK_UNITS, index = hak_zone.next[unit - at];
    struct chunk *chunk = &spans.chunks[index];
    int done = 1, zeroed;
    if (at + new_units > CHUNK_UNITS)
        return 0;
    hak_lock_take(&spans.lock);
    if (new_units < units)
        give(chunk, index, (unsigned)(at + new_units), units - new_units);
    else if (new_units > units &&
             (chunk->used & hak_gap_mask((unsigned)(at + units), new_units - units)))
        done = 0;
    else if (new_units > units)
        take_gap(chunk, (unsigned)(at + units), new_units - units, &zeroed);
    hak_lock_release(&spans.lock);
    return done;
}

static size_t purge_chunk(struct chunk *chunk)
{
    size_t bytes = 0;
    uint64_t left = chunk->dirty & chunk->stale;
    while (left != 0) {
        unsigned at;
        size_t units = hak_gap_row(left, &at);
        char *start = hak_unit_address(chunk->unit + at);
        left &= ~hak_gap_mask(at, units);
        if (hak_os.advise(start, units << HAK_UNIT_LG, MADV_DONTNEED) != 0) /* locked memory */
            continue;
        chunk->dirty &= ~hak_gap_mask(at, units);
        bytes += units << HAK_UNIT_LG;
    }
    chunk->stale = chunk->dirty;
    return bytes;
}

size_t hak_span_purge(void)
{
    size_t bytes = 0;
    hak_lock_take(&spans.lock);
    for (size_t i = 0; i < spans.count; i++)
        bytes += purge_chunk(&spans.chunks[i]);
    hak_lock_release(&spans.lock);
    return bytes;
}

size_t hak_span_reclaim(void)
{
    size_t bytes = 0;
    hak_lock_take(&spans.lock);
    for (size_t i = 0; i < spans.count; i++) {
        struct chunk *chunk = &spans.chunks[i];
        if (chunk->used != 0)
            continue;
        hak_zone_give(chunk->unit, CHUNK_UNITS);
        *chunk = (struct chunk){.used = ~(uint64_t)0, .unit = NO_CHUNK};
        spans.gone++;
        bytes += CHUNK_UNITS * HAK_UNIT_BYTES;
    }
    hak_gauge_add(mapped_bytes, -(int64_t)bytes);
    hak_lock_release(&spans.lock);
    return bytes;
}

void hak_span_fork_prepare(void)
{
    hak_lock_take(&spans.lock);
}

void hak_span_fork_done(int in_child)
{
    hak_lock_fork_done(&spans.lock, in_child);
}
