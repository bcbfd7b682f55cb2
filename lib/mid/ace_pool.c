/*
 * ace_pool.c - runs of blocks in shards, for Mid and the smaller Large classes.
 *
 * A run is one to eight units cut into blocks of one class. It belongs to the shard that
 * mapped it; the shard's lock guards it. A run without used blocks goes back to the
 * spans, but for the last one of its shard.
 */
#include "mid/ace.h"

#include "core/codes.h"
#include "core/probe.h"
#include "mid/span.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/superslab.h"

#define SHARDS 4
#define RUN_MOST_UNITS 8

struct run {
    void *free;              /* blocks that came back */
    struct run *next, *prev; /* runs of the shard with blocks to give */
    uint32_t unit, units;
    uint32_t first; /* offset of the first block in bytes */
    uint32_t used, carved, capacity; /* blocks */
    uint8_t class, shard;
};

struct shard {
    struct hak_lock lock;
    struct run *with_room;
} HAK_CACHE_ALIGNED;

static struct shard shards[HAK_CLASS_CAPACITY][SHARDS];

/* ---- run records: never given back to the OS, so that an index stays valid ------- */

#define RECORDS_PER_PART 1024
#define PARTS 8192

static struct {
    struct hak_lock lock;
    struct run *parts[PARTS];
    struct run *spare; /* linked by next */
    uint32_t count;
} records;

static struct run *run_at(uint32_t index)
{
    return &records.parts[index / RECORDS_PER_PART][index % RECORDS_PER_PART];
}

static struct run *run_of(const void *block)
{
    return run_at(hak_load_relaxed(&hak_zone.state[hak_unit_of(block)]));
}

static struct run *new_record(void)
{
    uint32_t part = records.count / RECORDS_PER_PART;
    if (part == PARTS)
        return NULL;
    if (records.parts[part] == NULL) {
        size_t bytes = hak_align_up(RECORDS_PER_PART * sizeof(struct run), HAK_PAGE_BYTES);
        records.parts[part] = hak_os.map(NULL, bytes);
        if (records.parts[part] == NULL)
            return NULL;
    }
    struct run *run = run_at(records.count);
    run->capacity = records.count++; /* its index, until it is used for the first time */
    return run;
}

/* A record's index is written down in its first unit, and kept in `unit` when spare. */
static struct run *take_record(uint32_t *index)
{
    hak_lock_take(&records.lock);
    struct run *run = records.spare;
    if (run != NULL)
        records.spare = run->next;
    else
        run = new_record();
    hak_lock_release(&records.lock);
    if (run != NULL)
        *index = run->capacity;
    return run;
}

static void give_record(struct run *run, uint32_t index)
{
    hak_lock_take(&records.lock);
    run->capacity = index;
    run->next = records.spare;
    records.spare = run;
    hak_lock_release(&records.lock);
}

/* ---- runs ---------------------------------------------------------------------- */

static void link_run(struct shard *shard, struct run *run)
{
    run->prev = NULL;
    run->next = shard->with_room;
    if (run->next != NULL)
        run->next->prev = run;
    shard->with_room = run;
}

static void unlink_run(struct shard *shard, struct run *run)
{
    if (run->prev != NULL)
        run->prev->next = run->next;
    else
        shard->with_room = run->next;
    if (run->next != NULL)
        run->next->prev = run->prev;
}

/* Mid blocks begin at another cache line in each run: with all of them at multiples of a
 * page, first words, which programs and free lists touch most, would share a few sets of
 * the cache. What a run has over is room to shift its blocks in. */
#define COLOUR_STEP 320 /* odd in lines, so that runs differ in all of the sets */

static int is_coloured(unsigned class)
{
    return class < hak_classes.mid_count;
}

/* Bytes that a run leaves over: at least a sixteenth of it where blocks are coloured. */
static size_t left_over(unsigned class, size_t units)
{
    size_t size = hak_classes.size[class], bytes = units << HAK_UNIT_LG;
    if (bytes < size)
        return bytes;
    size_t left = bytes % size;
    return is_coloured(class) && left < bytes / 16 && bytes > size ? left + size : left;
}

/* The fewest units that leave at most an eighth of them over, else the best there is. */
static size_t units_for(unsigned class)
{
    size_t best = 1, least_part = SIZE_MAX;
    for (size_t units = 1; units <= RUN_MOST_UNITS; units++) {
        size_t left = left_over(class, units), bytes = units << HAK_UNIT_LG;
        if (left <= bytes / 8)
            return units;
        if (left * RUN_MOST_UNITS / units < least_part) {
            least_part = left * RUN_MOST_UNITS / units;
            best = units;
        }
    }
    return best;
}

static void mark_units(const struct run *run, uint32_t word, uint32_t index)
{
    for (uint32_t i = 0; i < run->units; i++) {
        hak_store_relaxed(&hak_zone.state[run->unit + i], index);
        hak_store_relaxed(&hak_zone.map[run->unit + i], word);
    }
}

static struct run *map_run(unsigned class, unsigned shard_index)
{
    int zeroed;
    uint32_t index;
    size_t units = units_for(class), left = left_over(class, units);
    struct run *run = take_record(&index);
    size_t unit = run != NULL ? hak_span_take(units, &zeroed) : HAK_NO_UNIT;
    if (unit == HAK_NO_UNIT) {
        if (run != NULL)
            give_record(run, index);
        return NULL;
    }
    run->unit = (uint32_t)unit;
    run->units = (uint32_t)units;
    run->free = NULL;
    run->used = run->carved = 0;
    run->capacity = (uint32_t)(((units << HAK_UNIT_LG) - left) / hak_classes.size[class]);
    run->first = (uint32_t)(is_coloured(class) ? index * COLOUR_STEP % (left & ~(size_t)63) : 0);
    run->class = (uint8_t)class;
    run->shard = (uint8_t)shard_index;
    mark_units(run, hak_unit_word(HAK_TAG_SHARED, class), index);
    hak_gauge_class_add(class, mapped_class_bytes, units << HAK_UNIT_LG);
    return run;
}

static void unmap_run(struct run *run)
{
    uint32_t index = hak_zone.state[run->unit];
    hak_gauge_class_add(run->class, mapped_class_bytes, -((int64_t)run->units << HAK_UNIT_LG));
    mark_units(run, 0, 0);
    hak_span_give(run->unit, run->units);
    give_record(run, index);
}

/* Up to `want` blocks that came back, else one fresh block: cutting writes a link into a
 * block, and so touches its page. */
static unsigned take_blocks(struct run *run, unsigned want, void **list)
{
    unsigned got = 0;
    for (void *block; got < want && (block = run->free) != NULL; got++) {
        run->free = *(void **)block;
        *(void **)block = *list;
        *list = block;
    }
    if (got == 0) {
        size_t offset = run->first + (size_t)run->carved++ * hak_classes.size[run->class];
        char *block = hak_unit_address(run->unit) + offset;
        *(void **)block = *list;
        *list = block;
        got = 1;
    }
    run->used += got;
    return got;
}

static int has_room(const struct run *run)
{
    return run->free != NULL || run->carved < run->capacity;
}

/* ---- the pool --------------------------------------------------------------------- */

static unsigned take_from(struct shard *shard, unsigned want, void **list)
{
    struct run *run = shard->with_room;
    if (run == NULL)
        return 0;
    unsigned got = take_blocks(run, want, list);
    if (!has_room(run))
        unlink_run(shard, run);
    return got;
}

unsigned hak_ace_refill(unsigned class, unsigned seat, struct hak_block *block, unsigned want,
                        void **list)
{
    struct shard *shard = &shards[class][seat % SHARDS];
    if (hak_lock_take(&shard->lock))
        hak_count_scalar(block, lock_waits, 1);
    if (shard->with_room == NULL) {
        struct run *run = map_run(class, seat % SHARDS);
        if (run != NULL)
            link_run(shard, run);
    }
    unsigned got = take_from(shard, want, list);
    hak_lock_release(&shard->lock);
    if (got == 0) {
        errno = ENOMEM;
        return 0;
    }
    hak_count_class(block, class, refills, 1);
    hak_count_class(block, class, refilled, got);
    hak_probe_refill(class, got, HAK_SOURCE_ACE);
    return got;
}

static int is_block_of(unsigned class, const void *block)
{
    size_t unit = hak_unit_of(block);
    return unit < hak_zone.units &&
           hak_load_relaxed(&hak_zone.map[unit]) == hak_unit_word(HAK_TAG_SHARED, class);
}

static int holds(const struct run *run, const void *block)
{
    size_t offset = (size_t)((const char *)block - hak_unit_address(run->unit)) - run->first;
    return offset % hak_classes.size[run->class] == 0 && run->used != 0;
}

static void put_block(struct shard *shard, struct run *run, void *block)
{
    int had_room = has_room(run);
    *(void **)block = run->free;
    run->free = block;
    run->used--;
    if (!had_room)
        link_run(shard, run);
    if (run->used == 0 && (run->next != NULL || run->prev != NULL)) {
        unlink_run(shard, run);
        unmap_run(run);
    }
}

void *hak_ace_drain(unsigned class, struct hak_block *counts, void *list, unsigned count)
{
    struct shard *locked = NULL;
    for (; list != NULL && count != 0; count--) {
        void *block = list;
        if (hak_unlikely(!is_block_of(class, block))) {
            hak_integrity(HAK_INTEGRITY_FREE_LINK, block, 0, class);
            list = NULL;
            break;
        }
        list = *(void **)block;
        struct run *run = run_of(block);
        struct shard *shard = &shards[class][run->shard];
        if (shard != locked) {
            if (locked != NULL)
                hak_lock_release(&locked->lock);
            if (hak_lock_take(&shard->lock))
                hak_count_scalar(counts, lock_waits, 1);
            locked = shard;
        }
        if (hak_likely(holds(run, block)))
            put_block(shard, run, block);
        else
            hak_integrity(HAK_INTEGRITY_COUNT, block, run->used, run->capacity);
    }
    if (locked != NULL)
        hak_lock_release(&locked->lock);
    return list;
}

void hak_ace_fork_prepare(void)
{
    for (size_t c = 0; c < HAK_CLASS_CAPACITY; c++)
        for (size_t i = 0; i < SHARDS; i++)
            hak_lock_take(&shards[c][i].lock);
    hak_lock_take(&records.lock);
    hak_span_fork_prepare();
}

void hak_ace_fork_done(int in_child)
{
    hak_span_fork_done(in_child);
    if (in_child)
        hak_lock_reset(&records.lock);
    else
        hak_lock_release(&records.lock);
    for (size_t c = 0; c < HAK_CLASS_CAPACITY; c++)
        for (size_t i = 0; i < SHARDS; i++) {
            if (in_child)
                hak_lock_reset(&shards[c][i].lock);
            else
                hak_lock_release(&shards[c][i].lock);
        }
}
