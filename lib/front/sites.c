/* The table of call sites: see sites.h. */
#include "front/sites.h"

#include "base/atomic.h"
#include "core/abi.h"
#include "core/codes.h"
#include "core/config.h"
#include "front/nested.h"
#include "hakmem.h"
#include "learn/site_policy.h"
#include "mid/big.h"
#include "os/lock.h"
#include "os/page.h"

int hak_sites_on;

static struct {
    struct hak_site *sites;
    uint32_t capacity; /* a power of two */
    uint64_t *lost;
} table;

_Static_assert(HAK_SITE_SIZES == HAK_SIGNATURE_BINS, "one histogram");
_Static_assert((int)HAK_SITE_POLICY_MEDIUM == (int)HAK_SITE_MEDIUM, "codes are the policies");

void hak_sites_start(void)
{
    table.sites = hak_page_sites(&table.capacity, &table.lost);
    hak_sites_on = table.sites != NULL && hak_knob(sites) != HAK_SITES_OFF;
    hak_big_lets_go = hak_sites_lets_go;
}

/* ---- records ---------------------------------------------------------------------- */

#define MOST_PROBES 32

static size_t hash_of(uint64_t word)
{
    return (size_t)(word * 0x9e3779b97f4a7c15u >> 32);
}

static struct hak_site *find(uintptr_t site)
{
    for (size_t i = 0; i < MOST_PROBES; i++) {
        struct hak_site *record = &table.sites[(hash_of(site) + i) & (table.capacity - 1)];
        uint64_t there = hak_load_relaxed(&record->site);
        if (there == 0 && hak_cas_acq_rel(&record->site, &there, (uint64_t)site))
            return record;
        if (there == site)
            return record;
    }
    hak_add_relaxed(table.lost, 1);
    return NULL;
}

static void raise_to(uint64_t *most, uint64_t value)
{
    uint64_t there = hak_load_relaxed(most);
    while (there < value && !hak_cas_weak_acq_rel(most, &there, value))
        ;
}

static void infer(struct hak_site *record)
{
    struct hak_site_policy_config config = hak_site_policy_config_default();
    struct hak_site_summary summary = {
        .count = hak_load_relaxed(&record->count),
        .bytes = hak_load_relaxed(&record->bytes),
        .max_bytes = hak_load_relaxed(&record->max_bytes),
    };
    for (unsigned bin = 0; bin < HAK_SITE_SIZES; bin++) {
        summary.sizes.count[bin] = hak_load_relaxed(&record->sizes[bin]);
        summary.sizes.total += summary.sizes.count[bin];
    }
    hak_store_relaxed(&record->policy, (uint32_t)hak_site_policy_infer(&config, &summary));
}

/* Looks at a site anew whenever its count has grown by an eighth, and by eight at least. */
static uint64_t look_every(uint64_t count)
{
    return count < 64 ? 8 : (uint64_t)1 << (hak_lg(count) - 3);
}

void hak_sites_note(uintptr_t site, size_t bytes, uint64_t weight, int is_estimate)
{
    struct hak_site *record = find(site);
    if (record == NULL)
        return;
    uint64_t before = hak_add_relaxed(&record->count, weight);
    hak_add_relaxed(&record->bytes, bytes * weight);
    hak_add_relaxed(&record->sizes[hak_signature_bin(bytes)], weight);
    raise_to(&record->max_bytes, bytes);
    if (is_estimate)
        hak_store_relaxed(&record->flags, 1);
    uint64_t every = look_every(before);
    if (before / every != (before + weight) / every)
        infer(record);
}

int hak_sites_lets_go(uintptr_t site)
{
    if (!hak_sites_on || !hak_knob(site_rules))
        return 0;
    for (size_t i = 0; i < MOST_PROBES; i++) {
        struct hak_site *record = &table.sites[(hash_of(site) + i) & (table.capacity - 1)];
        if (hak_load_relaxed(&record->site) == site)
            return hak_load_relaxed(&record->policy) == HAK_SITE_POLICY_LARGE_INFREQUENT;
    }
    return 0;
}

/* ---- blocks followed to their free ---------------------------------------------------- */

#define TRACKED 4096u /* a power of two; what finds no place is not tracked */
#define TRACKED_MOST (TRACKED / 4 * 3)
#define TRACK_PROBES 16

struct tracked {
    uint64_t block; /* 0: free */
    uint64_t bytes;
    struct hak_site *record;
    uint64_t weight;
};

static struct tracked tracked[TRACKED];
static size_t tracked_count;
static struct hak_lock track_lock;

static size_t home_of(uint64_t block)
{
    return hash_of(block >> 4) & (TRACKED - 1);
}

/* The place of this block, or the one that it would take; NULL: too many are in the way. */
static struct tracked *find_place(uint64_t block)
{
    size_t at = home_of(block);
    for (size_t i = 0; i < TRACK_PROBES; i++, at = (at + 1) & (TRACKED - 1))
        if (tracked[at].block == block || tracked[at].block == 0)
            return &tracked[at];
    return NULL;
}

/* Closes the gap, so that no search breaks off early. */
static void empty_place(struct tracked *place)
{
    size_t gap = (size_t)(place - tracked);
    for (size_t i = (gap + 1) & (TRACKED - 1); tracked[i].block != 0; i = (i + 1) & (TRACKED - 1)) {
        if (((i - home_of(tracked[i].block)) & (TRACKED - 1)) >= ((i - gap) & (TRACKED - 1))) {
            tracked[gap] = tracked[i];
            gap = i;
        }
    }
    tracked[gap].block = 0;
}

void hak_sites_track(const void *block, uintptr_t site, size_t bytes, uint64_t weight)
{
    struct hak_site *record = find(site);
    if (record == NULL)
        return;
    hak_lock_take(&track_lock);
    struct tracked *place = find_place((uintptr_t)block); /* its own: a free was not told */
    if (place != NULL && tracked_count + (place->block == 0) <= TRACKED_MOST) {
        tracked_count += place->block == 0;
        *place = (struct tracked){(uintptr_t)block, bytes, record, weight};
        hak_add_relaxed(&record->tracked_count, weight);
        hak_add_relaxed(&record->tracked_bytes, bytes * weight);
    }
    hak_lock_release(&track_lock);
}

void hak_sites_forget(const void *block)
{
    hak_lock_take(&track_lock);
    struct tracked *place = find_place((uintptr_t)block);
    if (place != NULL && place->block != 0) {
        hak_add_relaxed(&place->record->freed_count, place->weight);
        hak_add_relaxed(&place->record->freed_bytes, place->bytes * place->weight);
        empty_place(place);
        tracked_count--;
    }
    hak_lock_release(&track_lock);
}

void hak_sites_fork_prepare(void)
{
    hak_lock_take(&track_lock);
}

void hak_sites_fork_done(int in_child)
{
    hak_lock_fork_done(&track_lock, in_child);
}

/* ---- labelled calls -------------------------------------------------------------------- */

static HAK_TLS uint32_t calls;

/* One number in each group of `every`, at a place that differs from group to group: a program's
 * sites take turns, and every so-manieth call may always be the same site's. */
static int is_chosen(uint32_t number, uint64_t every)
{
    uint64_t group = number / every;
    return number % every == (hash_of(group + 1) & (every - 1));
}
static HAK_TLS int in_labelled; /* its slow path is not to be noted a second time */

/* While sites are sampled, refills are as well: one in so many, which stands for them all. */
static uint64_t share_of_slow_path(void)
{
    static HAK_TLS uint32_t slow_paths;
    if (hak_knob(sites) == HAK_SITES_ON)
        return 1;
    uint64_t every = (uint64_t)1 << hak_knob(site_sample);
    return is_chosen(slow_paths++, every) ? every : 0;
}

void hak_sites_note_slow(const void *block, uintptr_t site, size_t bytes, uint64_t weight,
                         int is_big)
{
    if (in_labelled)
        return;
    uint64_t calls_it_stands_for = is_big ? 1 : share_of_slow_path();
    if (calls_it_stands_for == 0)
        return;
    weight *= calls_it_stands_for;
    hak_sites_note(site, bytes, weight, !is_big);
    if (is_big)
        hak_sites_track(block, site, bytes, weight);
}

/* How many labelled calls this one stands for; 0: it is not taken. */
static uint64_t weight_of_call(void)
{
    if (!hak_sites_on)
        return 0;
    if (hak_knob(sites) == HAK_SITES_ON)
        return 1;
    uint64_t every = (uint64_t)1 << hak_knob(site_sample);
    return is_chosen(calls++, every) ? every : 0;
}

HAK_API void *hak_alloc_at(size_t size, uintptr_t site)
{
    in_labelled = 1;
    void *block = hak_malloc_from(size, site);
    in_labelled = 0;
    uint64_t weight = block != NULL && site != 0 ? weight_of_call() : 0;
    if (weight != 0) {
        hak_sites_note(site, size, weight, weight != 1);
        if (hak_slow_enter(&hak_front)) {
            hak_sites_track(block, site, size, weight);
            hak_slow_leave(&hak_front);
        }
    }
    return block;
}

HAK_API void *hak_alloc_cs(size_t size)
{
    return hak_alloc_at(size, HAK_CALL_SITE);
}

HAK_API void free(void *block);

HAK_API void hak_free_cs(void *block, size_t size)
{
    (void)size;
    if (hak_sites_on && block != NULL && hak_slow_enter(&hak_front)) {
        hak_sites_forget(block);
        hak_slow_leave(&hak_front);
    }
    free(block);
}
