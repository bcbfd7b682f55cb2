#include "mid/bigcache.h"

#include "core/config.h"
#include "core/counters.h"
#include "core/probe.h"

#define ENTRIES 1024
#define NONE 0xffffu

/* In `adaptive`, a class whose blocks have come back this often without one being asked
 * for is cold: its blocks are for the batch until somebody asks again. */
#define COLD_AFTER 32

struct entry {
    struct hak_big_range range;
    uintptr_t site;
    uint64_t freed_ns;
    uint16_t class_next, class_prev; /* of the same class, last freed first */
    uint16_t older, newer;           /* of all, or the next spare in `older` */
};

static struct {
    struct entry entries[ENTRIES];
    uint16_t of_class[HAK_BIG_CLASSES];
    uint16_t unasked[HAK_BIG_CLASSES]; /* puts since the last get */
    uint16_t newest, oldest, spare;
    uint16_t used; /* entries from here on were never used */
    uint16_t ready;
    size_t bytes;
} cache;

unsigned hak_big_class_of(size_t bytes)
{
    unsigned lg = hak_lg(bytes | HAK_PAGE_BYTES);
    unsigned eighth = (unsigned)(bytes >> (lg - 3)) & 7;
    return (unsigned)hak_min((lg - 12) * 8 + eighth, HAK_BIG_CLASSES - 1);
}

size_t hak_big_class_bytes(size_t bytes)
{
    size_t step = (size_t)1 << (hak_lg(hak_max(bytes, HAK_PAGE_BYTES)) - 3);
    return hak_align_up(bytes, hak_max(step, HAK_PAGE_BYTES));
}

static void make_ready(void)
{
    for (size_t c = 0; c < HAK_BIG_CLASSES; c++)
        cache.of_class[c] = NONE;
    cache.newest = cache.oldest = cache.spare = NONE;
    cache.ready = 1;
}

static uint16_t take_entry(void)
{
    uint16_t at = cache.spare;
    if (at != NONE)
        cache.spare = cache.entries[at].older;
    else if (cache.used < ENTRIES)
        at = cache.used++;
    return at;
}

static void link_entry(uint16_t at, unsigned class)
{
    struct entry *e = &cache.entries[at];
    e->class_prev = NONE;
    e->class_next = cache.of_class[class];
    if (e->class_next != NONE)
        cache.entries[e->class_next].class_prev = at;
    cache.of_class[class] = at;
    e->newer = NONE;
    e->older = cache.newest;
    if (e->older != NONE)
        cache.entries[e->older].newer = at;
    else
        cache.oldest = at;
    cache.newest = at;
}

static void unlink_entry(uint16_t at)
{
    struct entry *e = &cache.entries[at];
    if (e->class_prev != NONE)
        cache.entries[e->class_prev].class_next = e->class_next;
    else
        cache.of_class[hak_big_class_of(e->range.bytes)] = e->class_next;
    if (e->class_next != NONE)
        cache.entries[e->class_next].class_prev = e->class_prev;
    if (e->newer != NONE)
        cache.entries[e->newer].older = e->older;
    else
        cache.newest = e->older;
    if (e->older != NONE)
        cache.entries[e->older].newer = e->newer;
    else
        cache.oldest = e->newer;
    e->older = cache.spare;
    cache.spare = at;
    cache.bytes -= e->range.bytes;
    hak_gauge_add(bigcache_bytes, -(int64_t)e->range.bytes);
}

/* Last freed first, the same site before any other. */
static uint16_t find(unsigned class, size_t bytes, uintptr_t site)
{
    uint16_t any = NONE;
    for (uint16_t at = cache.of_class[class]; at != NONE; at = cache.entries[at].class_next) {
        if (cache.entries[at].range.bytes != bytes)
            continue;
        if (cache.entries[at].site == site)
            return at;
        if (any == NONE)
            any = at;
    }
    return any;
}

static struct hak_big_range take_out(uint16_t at)
{
    if (at == NONE)
        return (struct hak_big_range){NULL, 0, 0};
    unlink_entry(at);
    return cache.entries[at].range;
}

struct hak_big_range hak_bigcache_get(size_t bytes, uintptr_t site)
{
    unsigned class = hak_big_class_of(bytes);
    uint16_t at = cache.ready ? find(class, bytes, site) : NONE;
    cache.unasked[class] = 0;
    hak_probe_bigcache_get(bytes, site, at != NONE);
    if (at != NONE)
        hak_gauge_add(bigcache_hits, 1);
    else
        hak_gauge_add(bigcache_misses, 1);
    return take_out(at);
}

/* ---- blocks of another size -------------------------------------------------------------- */

/* Searches look at so many: they cost less than the page faults that they save. */
#define LOOK_AT_MOST 64

/* Is `bytes` nearer to what is wanted than `than`? Above is better than below. */
static int is_nearer(size_t bytes, size_t than, size_t wanted)
{
    if (bytes >= wanted)
        return than < wanted || bytes < than;
    return than < wanted && bytes > than;
}

struct hak_big_range hak_bigcache_take_near(size_t bytes)
{
    uint16_t nearest = NONE, at = cache.ready ? cache.newest : NONE;
    size_t best = bytes / 2;
    for (unsigned i = 0; i < LOOK_AT_MOST && at != NONE; i++, at = cache.entries[at].older)
        if (is_nearer(cache.entries[at].range.bytes, best, bytes)) {
            best = cache.entries[at].range.bytes;
            nearest = at;
        }
    return take_out(nearest);
}

struct hak_big_range hak_bigcache_take_at(const void *address, size_t least_bytes)
{
    uint16_t at = cache.ready ? cache.newest : NONE;
    for (unsigned i = 0; i < LOOK_AT_MOST && at != NONE; i++, at = cache.entries[at].older)
        if (cache.entries[at].range.address == address)
            return take_out(cache.entries[at].range.bytes >= least_bytes ? at : NONE);
    return take_out(NONE);
}

/* ---- keeping ---------------------------------------------------------------------------- */

enum free_policy { POLICY_KEEP, POLICY_BATCH, POLICY_ADAPTIVE };

static int wanted(unsigned class, size_t bytes)
{
    if (!hak_knob(bigcache) || hak_knob(free_policy) == POLICY_BATCH)
        return 0;
    if (bytes > ((size_t)hak_knob(bigcache_cap) << 20) / 2) /* it would push out all others */
        return 0;
    if (hak_knob(free_policy) == POLICY_KEEP)
        return 1;
    cache.unasked[class] += cache.unasked[class] < COLD_AFTER;
    return cache.unasked[class] < COLD_AFTER;
}

/* With the parts before and behind it, which leave. */
static struct hak_big_range joined(struct hak_big_range range)
{
    uint16_t at = cache.newest, older;
    for (unsigned i = 0; i < LOOK_AT_MOST && at != NONE; i++, at = older) {
        const struct hak_big_range *other = &cache.entries[at].range;
        older = cache.entries[at].older;
        if (!other->is_part)
            continue;
        if ((char *)other->address + other->bytes == range.address)
            range.address = other->address;
        else if ((char *)range.address + range.bytes != other->address)
            continue;
        range.bytes += other->bytes;
        unlink_entry(at);
    }
    return range;
}

static int put(const struct hak_big_range *range, uintptr_t site, uint64_t now_ns)
{
    struct hak_big_range whole = range->is_part ? joined(*range) : *range;
    uint16_t at = take_entry();
    if (at == NONE)
        return 0; /* nothing was joined, or an entry would be spare */
    struct entry *e = &cache.entries[at];
    e->range = whole;
    e->site = site;
    e->freed_ns = now_ns;
    link_entry(at, hak_big_class_of(whole.bytes));
    cache.bytes += whole.bytes;
    hak_gauge_add(bigcache_bytes, (int64_t)whole.bytes);
    return 1;
}

int hak_bigcache_put(const struct hak_big_range *range, uintptr_t site, uint64_t now_ns)
{
    if (!cache.ready)
        make_ready();
    int kept = wanted(hak_big_class_of(range->bytes), range->bytes) && put(range, site, now_ns);
    hak_probe_bigcache_put(range->bytes, site, kept);
    if (!kept)
        hak_gauge_add(bigcache_declines, 1);
    return kept;
}

int hak_bigcache_put_rest(const struct hak_big_range *range, uintptr_t site, uint64_t now_ns)
{
    return put(range, site, now_ns);
}

size_t hak_bigcache_bytes(void)
{
    return cache.bytes;
}

struct hak_big_range hak_bigcache_evict(size_t most_bytes, uint64_t not_before_ns, uint64_t now_ns)
{
    uint16_t at = cache.oldest;
    if (!cache.ready || at == NONE)
        return take_out(NONE);
    const struct entry *e = &cache.entries[at];
    if (cache.bytes <= most_bytes && e->freed_ns >= not_before_ns)
        return take_out(NONE);
    hak_gauge_add(bigcache_evictions, 1);
    hak_probe_bigcache_evict(e->range.bytes, now_ns - e->freed_ns);
    return take_out(at);
}
