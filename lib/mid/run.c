#include "mid/run.h"

#include "core/counters.h"
#include "mid/span.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/shared_pool.h"

#define MOST_UNITS 8

/* ---- run records: never given back to the OS, so that an index stays valid ------- */

#define RECORDS_PER_PART 1024
#define PARTS 8192

static struct {
    struct hak_lock lock;
    struct hak_run *spare; /* linked by next */
    uint32_t count;
    struct hak_run *parts[PARTS];
} records;

static struct hak_run *run_at(uint32_t index)
{
    return &records.parts[index / RECORDS_PER_PART][index % RECORDS_PER_PART];
}

struct hak_run *hak_run_of(const void *block)
{
    return run_at(hak_load_relaxed(&hak_zone.run[hak_unit_of(block)]));
}

static struct hak_run *new_record(void)
{
    uint32_t part = records.count / RECORDS_PER_PART;
    if (part == PARTS)
        return NULL;
    if (records.parts[part] == NULL) {
        size_t bytes = hak_align_up(RECORDS_PER_PART * sizeof(struct hak_run), HAK_PAGE_BYTES);
        records.parts[part] = hak_os.map(NULL, bytes);
        if (records.parts[part] == NULL)
            return NULL;
    }
    struct hak_run *run = run_at(records.count);
    run->capacity = records.count++; /* its index, until it is used for the first time */
    return run;
}

/* A record's index is written down in its first unit, and kept in `unit` when spare. */
static struct hak_run *take_record(uint32_t *index)
{
    hak_lock_take(&records.lock);
    struct hak_run *run = records.spare;
    if (run != NULL)
        records.spare = run->next;
    else
        run = new_record();
    hak_lock_release(&records.lock);
    if (run != NULL)
        *index = run->capacity;
    return run;
}

static void give_record(struct hak_run *run, uint32_t index)
{
    hak_lock_take(&records.lock);
    run->capacity = index;
    run->next = records.spare;
    records.spare = run;
    hak_lock_release(&records.lock);
}

/* ---- runs ---------------------------------------------------------------------- */

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

/* The fewest units that leave at most an eighth of them over, else the best there is; when
 * memory is short, those that hold one block. */
static size_t units_for(unsigned class, int short_of_memory)
{
    if (short_of_memory)
        return (hak_classes.size[class] + HAK_UNIT_BYTES - 1) >> HAK_UNIT_LG;
    size_t best = 1, least_part = SIZE_MAX;
    for (size_t units = 1; units <= MOST_UNITS; units++) {
        size_t left = left_over(class, units), bytes = units << HAK_UNIT_LG;
        if (left <= bytes / 8)
            return units;
        if (left * MOST_UNITS / units < least_part) {
            least_part = left * MOST_UNITS / units;
            best = units;
        }
    }
    return best;
}

static void mark_units(const struct hak_run *run, uint32_t word, uint32_t index)
{
    for (uint32_t i = 0; i < run->units; i++) {
        hak_store_relaxed(&hak_zone.run[run->unit + i], index);
        hak_store_relaxed(&hak_zone.map[run->unit + i], word);
    }
}

/* Memory that Tiny does not use serves before other: it stays the smaller of the two. The first
 * block lies behind what is reserved, which may be `spare` bytes. */
static size_t take_units(size_t units, size_t spare, struct hak_run *run)
{
    int zeroed;
    size_t unit = HAK_NO_UNIT, reserved = 0;
    if (units == 1)
        unit = hak_pool_lend(spare, &reserved);
    run->is_lent = unit != HAK_NO_UNIT;
    run->first = (uint32_t)reserved;
    return unit != HAK_NO_UNIT ? unit : hak_span_take(units, &zeroed);
}

static void give_units(const struct hak_run *run)
{
    if (!run->is_lent)
        hak_span_give(run->unit, run->units);
    else
        hak_pool_take_back(run->unit, run->first + run->carved * hak_classes.size[run->class]);
}

struct hak_run *hak_run_map(unsigned class, unsigned shard, int short_of_memory)
{
    uint32_t index;
    size_t units = units_for(class, short_of_memory), left = left_over(class, units);
    struct hak_run *run = take_record(&index);
    size_t unit = run != NULL ? take_units(units, is_coloured(class) ? left : 0, run) : HAK_NO_UNIT;
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
    if (is_coloured(class))
        run->first =
            (uint32_t)hak_max(run->first, index * COLOUR_STEP % (left & ~(size_t)63));
    run->class = (uint8_t)class;
    run->shard = (uint8_t)shard;
    mark_units(run, hak_unit_word(HAK_TAG_SHARED, class), index);
    hak_gauge_class_add(class, mapped_class_bytes, units << HAK_UNIT_LG);
    return run;
}

void hak_run_unmap(struct hak_run *run)
{
    uint32_t index = hak_zone.run[run->unit];
    hak_gauge_class_add(run->class, mapped_class_bytes, -((int64_t)run->units << HAK_UNIT_LG));
    mark_units(run, 0, 0);
    give_units(run);
    give_record(run, index);
}

/* Cutting writes a link into a block, and so touches its page: one at a time. */
unsigned hak_run_take(struct hak_run *run, unsigned want, void **list)
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

void hak_run_fork_prepare(void)
{
    hak_lock_take(&records.lock);
    hak_span_fork_prepare();
}

void hak_run_fork_done(int in_child)
{
    hak_span_fork_done(in_child);
    hak_lock_fork_done(&records.lock, in_child);
}
