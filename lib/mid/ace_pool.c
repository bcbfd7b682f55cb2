/*
 * ace_pool.c - runs of blocks in shards, for Mid and the smaller Large classes.
 *
 * A run belongs to the shard that mapped it. A run without used blocks goes back to the
 * spans, but for the last one of its shard. A thread's own shard is asked first; before a
 * new run is mapped, the neighbours are.
 */
#include "mid/ace.h"

#include "core/codes.h"
#include "core/policy.h"
#include "core/probe.h"
#include "mid/growing.h"
#include "mid/run.h"
#include "mid/sparse.h"
#include "os/lock.h"
#include "slab/mixed.h"
#include "slab/superslab.h"

#define SHARDS 4

struct shard {
    struct hak_lock lock;
    struct hak_run *with_room; /* under the lock; neighbours peep at it without */
} HAK_CACHE_ALIGNED;

static struct shard shards[HAK_CLASS_CAPACITY][SHARDS];

/* Blocks that the runs of a class hold, used or not: what its soft cap bounds. */
static uint32_t held[HAK_CLASS_CAPACITY];

static void link_run(struct shard *shard, struct hak_run *run)
{
    run->prev = NULL;
    run->next = shard->with_room;
    if (run->next != NULL)
        run->next->prev = run;
    hak_store_relaxed(&shard->with_room, run);
}

static void unlink_run(struct shard *shard, struct hak_run *run)
{
    if (run->prev != NULL)
        run->prev->next = run->next;
    else
        hak_store_relaxed(&shard->with_room, run->next);
    if (run->next != NULL)
        run->next->prev = run->prev;
}

/* ---- the ways to a block, in their order ---------------------------------------------- */

struct want {
    const struct hak_ace_request *request;
    unsigned seat;   /* the shard that is asked first */
    uint32_t cap;    /* soft cap on the blocks of the class, 0: none */
    unsigned blocks; /* at most so many at once */
    void **list;
};

static int is_over_cap(const struct want *want)
{
    return want->cap != 0 && hak_load_relaxed(&held[want->request->class]) >= want->cap;
}

/* One block at a time for a class over its cap; below it, few while little is missing. */
#define FEWEST_LARGE 2
#define DEFICIT_STEPS 4

static unsigned bundle(const struct want *want, unsigned most)
{
    if (want->cap == 0)
        return most;
    if (is_over_cap(want))
        return 1;
    unsigned missing = want->cap - hak_load_relaxed(&held[want->request->class]);
    unsigned blocks = 1 + missing * (DEFICIT_STEPS - 1) / want->cap;
    if (!hak_class_is_mid(want->request->class))
        blocks = (unsigned)hak_max(blocks, FEWEST_LARGE);
    return (unsigned)hak_min(blocks, most);
}

static unsigned take_locked(struct shard *shard, unsigned blocks, void **list)
{
    struct hak_run *run = shard->with_room;
    if (run == NULL)
        return 0;
    unsigned got = hak_run_take(run, blocks, list);
    if (!hak_run_has_room(run))
        unlink_run(shard, run);
    return got;
}

static unsigned take_own(const struct want *want)
{
    struct shard *shard = &shards[want->request->class][want->seat];
    if (hak_lock_take(&shard->lock))
        hak_count_any_scalar(want->request->counts, lock_waits, 1);
    unsigned got = take_locked(shard, want->blocks, want->list);
    hak_lock_release(&shard->lock);
    return got;
}

/* A neighbour that is busy is passed by: this is to save memory, not to wait. */
static unsigned steal(unsigned class, const struct want *want, unsigned first, unsigned blocks)
{
    for (unsigned i = first; i < SHARDS; i++) {
        struct shard *shard = &shards[class][(want->seat + i) % SHARDS];
        if (hak_load_relaxed(&shard->with_room) == NULL || !hak_lock_try(&shard->lock))
            continue;
        unsigned got = take_locked(shard, blocks, want->list);
        hak_lock_release(&shard->lock);
        if (got != 0)
            return got;
    }
    return 0;
}

#define EVERY_ALIGN 64 /* that blocks of every class above Tiny have */

/* From a larger class, while a block of it is not above W_MAX times what was asked for. */
static void *cut_larger(const struct want *want)
{
    const struct hak_ace_request *request = want->request;
    void *list = NULL;
    struct want of_larger = {request, want->seat, 0, 1, &list};
    if (request->align > EVERY_ALIGN)
        return NULL;
    for (unsigned class = request->class + 1; hak_ace_fits(class, request->bytes); class++)
        if (steal(class, &of_larger, 0, 1) != 0)
            return list;
    return NULL;
}

static unsigned map_and_take(const struct want *want, int short_of_memory)
{
    unsigned class = want->request->class;
    struct shard *shard = &shards[class][want->seat];
    struct hak_run *run = hak_run_map(class, want->seat, short_of_memory);
    if (run == NULL)
        return 0;
    hak_add_relaxed(&held[class], run->capacity);
    hak_lock_take(&shard->lock);
    link_run(shard, run);
    unsigned got = take_locked(shard, want->blocks, want->list);
    hak_lock_release(&shard->lock);
    return got;
}

static unsigned serve(struct want *want, void **larger)
{
    struct hak_block *counts = want->request->counts;
    unsigned class = want->request->class, got;
    if ((got = take_own(want)) != 0 || (got = steal(class, want, 1, want->blocks)) != 0) {
        hak_count_any_class(counts, class, pool_hits, 1);
        return got;
    }
    hak_count_any_class(counts, class, pool_misses, 1);
    int over = is_over_cap(want);
    if (over && (*larger = cut_larger(want)) != NULL)
        return 0;
    if (over)
        hak_ace_failed(want->request, HAK_ACE_FAIL_EXHAUSTION);
    got = map_and_take(want, over);
    if (got == 0)
        hak_ace_failed(want->request, HAK_ACE_FAIL_MAP_FAIL);
    return got;
}

unsigned hak_ace_refill(const struct hak_ace_request *request, void **list, void **larger)
{
    struct want want = {request, request->seat % SHARDS, hak_policy_now()->ace_cap[request->class],
                        1, list};
    want.blocks = bundle(&want, request->want);
    *larger = NULL;
    unsigned got = serve(&want, larger);
    if (got == 0)
        return 0;
    hak_count_any_class(request->counts, request->class, refills, 1);
    hak_count_any_class(request->counts, request->class, refilled, got);
    hak_probe_refill(request->class, got, HAK_SOURCE_ACE);
    return got;
}

int hak_ace_has_room(unsigned class)
{
    int has = 0;
    for (unsigned i = 0; i < SHARDS; i++)
        has |= hak_load_relaxed(&shards[class][i].with_room) != NULL;
    return has;
}

/* ---- the way back --------------------------------------------------------------------- */

static int is_block_of(unsigned class, const void *block)
{
    size_t unit = hak_unit_of(block);
    return unit < hak_zone.units &&
           hak_load_relaxed(&hak_zone.map[unit]) == hak_unit_word(HAK_TAG_SHARED, class);
}

static int is_mixed(const void *block)
{
    size_t unit = hak_unit_of(block);
    return unit < hak_zone.units &&
           hak_load_relaxed(&hak_zone.map[unit]) >> HAK_TAG_SHIFT == HAK_TAG_MIXED;
}

static void put_block(struct shard *shard, struct hak_run *run, void *block)
{
    int had_room = hak_run_has_room(run);
    *(void **)block = run->free;
    run->free = block;
    run->used--;
    if (!had_room)
        link_run(shard, run);
    if (run->used == 0 && (run->next != NULL || run->prev != NULL)) {
        unlink_run(shard, run);
        hak_sub_relaxed(&held[run->class], run->capacity);
        hak_run_unmap(run);
    }
}

void *hak_ace_drain(unsigned class, struct hak_block *counts, void *list, unsigned count)
{
    struct shard *locked = NULL;
    for (; list != NULL && count != 0; count--) {
        void *block = list;
        if (hak_unlikely(is_mixed(block))) {
            unsigned put = hak_mixed_put(class, count, &list);
            if (put != 0) {
                count -= put - 1;
                continue;
            }
        }
        if (hak_unlikely(!is_block_of(class, block))) {
            hak_integrity(HAK_INTEGRITY_FREE_LINK, block, 0, class);
            list = NULL;
            break;
        }
        list = *(void **)block;
        struct hak_run *run = hak_run_of(block);
        struct shard *shard = &shards[class][run->shard];
        if (shard != locked) {
            if (locked != NULL)
                hak_lock_release(&locked->lock);
            if (hak_lock_take(&shard->lock))
                hak_count_any_scalar(counts, lock_waits, 1);
            locked = shard;
        }
        if (hak_likely(hak_run_holds(run, block)))
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
    hak_growing_fork_prepare();
    hak_sparse_fork_prepare();
    hak_mixed_fork_prepare();
    hak_run_fork_prepare();
}

void hak_ace_fork_done(int in_child)
{
    hak_run_fork_done(in_child);
    hak_mixed_fork_done(in_child);
    hak_sparse_fork_done(in_child);
    hak_growing_fork_done(in_child);
    for (size_t c = 0; c < HAK_CLASS_CAPACITY; c++)
        for (size_t i = 0; i < SHARDS; i++)
            hak_lock_fork_done(&shards[c][i].lock, in_child);
}
