#include "mid/big.h"

#include "core/config.h"
#include "core/counters.h"
#include "mid/bigcache.h"
#include "mid/bigmap.h"
#include "mid/span.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/purge.h"

struct big_block {
    uintptr_t address; /* 0: an unused entry */
    size_t bytes;      /* mapped */
    uintptr_t site;    /* return address of the call that asked for it */
    size_t slack;      /* of `bytes`, only there to end on a huge page */
    int is_part;       /* of a mapping that was cut */
    int of_zone;       /* cut from the zone; a mapping may by chance lie among its addresses */
};

int (*hak_big_lets_go)(uintptr_t site);

/* Open addressing with linear probing; at most half full. */
static struct {
    struct hak_lock lock;
    struct big_block *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    size_t live_bytes, peak_bytes; /* of blocks in use: now, and at most so far */
    size_t slack_bytes; /* of blocks in use */
} table;

/* Freed blocks may be kept up to what was in use at some time: then keeping them does
 * not raise the peak of RSS. This much is free of that rule. */
#define FREE_HEADROOM ((size_t)4 * HAK_MIB)

/* A block that grew ends on a huge page, since it is likely to grow on. All of these ends
 * together may be this much, and this part of what is in use. */
#define FREE_SLACK ((size_t)4 * HAK_MIB)
#define SLACK_PART 8

#define FIRST_CAPACITY 256

static size_t home_of(uintptr_t address)
{
    return (size_t)((address >> 12) * 0x9e3779b97f4a7c15u >> 20) & (table.capacity - 1);
}

static struct big_block *find(uintptr_t address)
{
    if (table.capacity == 0)
        return NULL;
    for (size_t i = home_of(address);; i = (i + 1) & (table.capacity - 1)) {
        if (table.entries[i].address == address)
            return &table.entries[i];
        if (table.entries[i].address == 0)
            return NULL;
    }
}

static struct big_block *insert(uintptr_t address, size_t bytes, uintptr_t site)
{
    size_t i = home_of(address);
    while (table.entries[i].address != 0)
        i = (i + 1) & (table.capacity - 1);
    table.entries[i] = (struct big_block){.address = address, .bytes = bytes, .site = site};
    table.count++;
    return &table.entries[i];
}

/* Closes the gap, so that no search breaks off early. */
static void remove_entry(struct big_block *entry)
{
    size_t mask = table.capacity - 1, gap = (size_t)(entry - table.entries);
    table.slack_bytes -= entry->slack;
    for (size_t i = (gap + 1) & mask; table.entries[i].address != 0; i = (i + 1) & mask) {
        size_t home = home_of(table.entries[i].address);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            table.entries[gap] = table.entries[i];
            gap = i;
        }
    }
    table.entries[gap].address = 0;
    table.count--;
}

static int make_room(void)
{
    if (table.count * 2 < table.capacity)
        return 0;
    struct big_block *old = table.entries;
    size_t old_capacity = table.capacity;
    size_t capacity = old_capacity != 0 ? old_capacity * 2 : FIRST_CAPACITY;
    struct big_block *entries = hak_os.map(NULL, capacity * sizeof *entries);
    if (entries == NULL)
        return -ENOMEM;
    table.entries = entries;
    table.capacity = capacity;
    table.count = 0;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].address != 0)
            *insert(old[i].address, old[i].bytes, old[i].site) = old[i];
    if (old != NULL)
        hak_os.unmap(old, old_capacity * sizeof *old);
    return 0;
}

/* ---- without an mmap path (the kill switch) ------------------------------------------- */

/* Big blocks are then cut from the zone, where Mid and Large live: from their chunks up to
 * a chunk's size, so that the OS is asked for a chunk at a time; above, as ranges. Their
 * memory goes back there at once, and is kept or purged with theirs. */
static int comes_from_zone(size_t align)
{
    return !hak_knob(large_mmap) && align <= HAK_ZONE_ALIGN_BYTES;
}

/* Ranges are powers of two, which the zone keeps for the next taker; pages cost nothing
 * until they are touched. */
static size_t units_of(size_t bytes)
{
    size_t units = (bytes + HAK_UNIT_BYTES - 1) >> HAK_UNIT_LG;
    return units <= HAK_SPAN_MOST_UNITS ? units : (size_t)2 << hak_lg(units - 1);
}

/* What does not lie in a chunk is longer than one, so that its size tells. */
static char *take_from_zone(size_t *bytes, size_t align, int *zeroed)
{
    if (align > HAK_UNIT_BYTES)
        *bytes = hak_max(*bytes, (HAK_SPAN_MOST_UNITS + 1) * HAK_UNIT_BYTES);
    size_t units = units_of(*bytes);
    *zeroed = 1;
    size_t unit = units <= HAK_SPAN_MOST_UNITS
                      ? hak_span_take(units, zeroed)
                      : hak_zone_take(units, hak_max(align >> HAK_UNIT_LG, 1));
    if (unit == HAK_NO_UNIT)
        return NULL;
    if (units > HAK_SPAN_MOST_UNITS)
        hak_gauge_add(mapped_bytes, units << HAK_UNIT_LG);
    return hak_unit_address(unit);
}

static void give_to_zone(void *block, size_t bytes)
{
    size_t unit = hak_unit_of(block), units = units_of(bytes);
    if (units <= HAK_SPAN_MOST_UNITS) {
        hak_span_give(unit, units);
        return;
    }
    hak_gauge_add(mapped_bytes, -(int64_t)(units << HAK_UNIT_LG));
    hak_zone_give(unit, units);
}

/* ---- blocks ----------------------------------------------------------------------------- */

/* All of these under the lock. */
static void count_live(int64_t bytes, int blocks)
{
    table.live_bytes += (size_t)bytes;
    table.peak_bytes = hak_max(table.peak_bytes, table.live_bytes);
    hak_gauge_add(big_live_bytes, bytes);
    hak_gauge_add(big_live_blocks, blocks);
}

static void unmap(void *block, size_t bytes)
{
    hak_os.unmap(block, bytes);
    hak_gauge_add(big_unmaps, 1);
    hak_gauge_add(mapped_bytes, -(int64_t)bytes);
}

static void batch_or_unmap(void *block, size_t bytes, uint64_t now_ns)
{
    if (hak_knob(batch))
        hak_purge_add(block, bytes, now_ns);
    else
        unmap(block, bytes);
}

/* What is too little to be worth keeping stays with the block. */
#define LEAST_REST (64 * HAK_KIB)

static void keep_rest(char *rest, size_t bytes, uintptr_t site)
{
    struct hak_big_range range = {rest, bytes, 1};
    uint64_t now_ns = hak_os_coarse_ns();
    if (!hak_bigcache_put_rest(&range, site, now_ns))
        batch_or_unmap(rest, bytes, now_ns);
}

/* What a block of so many bytes may have besides, to end on a huge page. */
static size_t slack_for(size_t bytes, size_t others)
{
    size_t slack = hak_bigmap_grown(bytes) - bytes;
    return others + slack <= FREE_SLACK + table.live_bytes / SLACK_PART ? slack : 0;
}

/* A longer one is cut. */
static struct hak_big_range cut(struct hak_big_range kept, size_t bytes, uintptr_t site)
{
    if (kept.bytes < bytes + LEAST_REST)
        return kept;
    keep_rest((char *)kept.address + bytes, kept.bytes - bytes, site);
    return (struct hak_big_range){kept.address, bytes, 1};
}

/* A shorter one is made longer. */
static struct hak_big_range lengthen(struct hak_big_range kept, size_t bytes, uintptr_t site)
{
    char *longer = hak_bigmap_resize(kept.address, kept.bytes, bytes);
    if (longer == NULL) {
        keep_rest(kept.address, kept.bytes, site);
        return (struct hak_big_range){NULL, 0, 0};
    }
    hak_gauge_add(mapped_bytes, (int64_t)(bytes - kept.bytes));
    return (struct hak_big_range){longer, bytes, 0};
}

/* No kept block is just as long, but most of the pages are there already. */
static struct hak_big_range reshape(size_t bytes, uintptr_t site)
{
    struct hak_big_range kept = hak_bigcache_take_near(bytes);
    size_t with_slack = bytes + slack_for(bytes, table.slack_bytes);
    if (kept.address == NULL)
        return kept;
    return kept.bytes >= bytes ? cut(kept, with_slack, site) : lengthen(kept, with_slack, site);
}

/* From the BigCache, from the batch, or freshly mapped. */
static struct hak_big_range find_or_map(size_t bytes, size_t align, uintptr_t site, int *zeroed)
{
    struct hak_big_range block = {NULL, bytes, 0};
    int may_keep = align <= HAK_PAGE_BYTES;
    *zeroed = 0;
    if (may_keep && hak_knob(bigcache))
        block = hak_bigcache_get(bytes, site);
    if (block.address == NULL && may_keep)
        block = (struct hak_big_range){hak_purge_take(bytes), bytes, 0};
    if (block.address == NULL && may_keep && hak_knob(bigcache))
        block = reshape(bytes, site);
    if (block.address == NULL) {
        *zeroed = 1;
        block = (struct hak_big_range){hak_bigmap_fresh(bytes, align), bytes, 0};
    }
    return block;
}

/* Bytes that may be kept. */
static size_t headroom_now(void)
{
    return table.peak_bytes - table.live_bytes + FREE_HEADROOM;
}

/* What the cap, the headroom or its age drives out of the BigCache goes on its way. */
static void settle(uint64_t now_ns)
{
    uint64_t age_ns = (uint64_t)hak_knob(bigcache_age_ms) * 1000000u;
    size_t headroom = headroom_now();
    size_t most = hak_min((size_t)hak_knob(bigcache_cap) << 20, headroom);
    uint64_t not_before_ns = now_ns > age_ns ? now_ns - age_ns : 0;
    for (struct hak_big_range out;
         (out = hak_bigcache_evict(most, not_before_ns, now_ns)).address != NULL;)
        batch_or_unmap(out.address, out.bytes, now_ns);
    hak_purge_limit(headroom - hak_min(headroom, hak_bigcache_bytes()), now_ns);
    hak_purge_tick(now_ns);
}

/* New pages are touched: the headroom has become smaller. */
static void settle_for_growth(void)
{
    if (hak_bigcache_bytes() + hak_purge_bytes() > headroom_now())
        settle(hak_os_coarse_ns());
}

static struct hak_big_range serve(size_t bytes, size_t align, uintptr_t site, int *zeroed)
{
    if (!comes_from_zone(align))
        return find_or_map(bytes, align, site, zeroed);
    char *block = take_from_zone(&bytes, align, zeroed);
    return (struct hak_big_range){block, bytes, 0};
}

void *hak_big_alloc(size_t bytes, size_t align, uintptr_t site, int *zeroed)
{
    if (bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    size_t rounded = hak_big_class_bytes(hak_align_up(hak_max(bytes, 1), HAK_PAGE_BYTES));
    struct hak_big_range block = {NULL, 0, 0};
    hak_lock_take(&table.lock);
    if (make_room() == 0)
        block = serve(rounded, align, site, zeroed);
    if (block.address != NULL) {
        struct big_block *entry = insert((uintptr_t)block.address, block.bytes, site);
        entry->is_part = block.is_part;
        entry->of_zone = comes_from_zone(align);
        entry->slack = block.bytes > rounded ? block.bytes - rounded : 0;
        table.slack_bytes += entry->slack;
        count_live((int64_t)block.bytes, 1);
        settle_for_growth();
    } else {
        errno = ENOMEM;
    }
    hak_lock_release(&table.lock);
    return block.address;
}

size_t hak_big_usable(const void *block)
{
    hak_lock_take(&table.lock);
    struct big_block *entry = find((uintptr_t)block);
    size_t bytes = entry != NULL ? entry->bytes : 0;
    hak_lock_release(&table.lock);
    return bytes;
}

/* BigCache first; what it declines goes to the batch. */
static void keep_or_batch(const struct hak_big_range *range, uintptr_t site)
{
    uint64_t now_ns = hak_os_coarse_ns();
    int lets_go = hak_big_lets_go != NULL && hak_big_lets_go(site);
    if (lets_go || !hak_bigcache_put(range, site, now_ns))
        batch_or_unmap(range->address, range->bytes, now_ns);
    settle(now_ns);
}

size_t hak_big_reclaim(void)
{
    size_t bytes = 0;
    hak_lock_take(&table.lock);
    uint64_t now_ns = hak_os_coarse_ns();
    for (struct hak_big_range out; (out = hak_bigcache_evict(0, 0, now_ns)).address != NULL;) {
        unmap(out.address, out.bytes);
        bytes += out.bytes;
    }
    bytes += hak_purge_unmap_all();
    hak_lock_release(&table.lock);
    return bytes;
}

void hak_big_tick(void)
{
    hak_lock_take(&table.lock);
    settle(hak_os_coarse_ns());
    hak_lock_release(&table.lock);
}

int hak_big_free(void *block)
{
    size_t bytes = 0;
    hak_lock_take(&table.lock);
    struct big_block *entry = find((uintptr_t)block);
    if (entry != NULL) {
        bytes = entry->bytes;
        uintptr_t site = entry->site;
        struct hak_big_range range = {block, bytes, entry->is_part};
        int of_zone = entry->of_zone;
        remove_entry(entry);
        count_live(-(int64_t)bytes, -1);
        if (of_zone)
            give_to_zone(block, bytes);
        else
            keep_or_batch(&range, site);
    }
    hak_lock_release(&table.lock);
    return bytes != 0 ? 0 : -ENOENT;
}

/* What a block may grow by besides, when it grows to so many bytes. */
static size_t slack_of(const struct big_block *entry, size_t bytes)
{
    return bytes > entry->bytes ? slack_for(bytes, table.slack_bytes - entry->slack) : 0;
}

/* Into what is kept behind the block: no page is new, and nothing moves. Returns its bytes
 * then; 0: there is not enough. */
static size_t grow_into_kept(const struct big_block *entry, size_t bytes, size_t slack)
{
    char *end = (char *)entry->address + entry->bytes;
    if (bytes <= entry->bytes)
        return 0;
    struct hak_big_range kept = hak_bigcache_take_at(end, bytes - entry->bytes);
    if (kept.address == NULL)
        return 0;
    return entry->bytes + cut(kept, bytes + slack - entry->bytes, entry->site).bytes;
}

void *hak_big_resize(void *block, size_t bytes)
{
    if (bytes > PTRDIFF_MAX)
        return NULL;
    size_t rounded = hak_big_class_bytes(hak_align_up(bytes, HAK_PAGE_BYTES)), old = 0, slack = 0;
    char *moved = NULL;
    size_t into = 0;
    hak_lock_take(&table.lock);
    struct big_block *entry = find((uintptr_t)block);
    if (entry != NULL && !entry->of_zone) {
        old = entry->bytes;
        slack = slack_of(entry, rounded);
        into = grow_into_kept(entry, rounded, slack);
        if (into != 0) {
            moved = block;
            slack = into - rounded;
        } else {
            moved = hak_bigmap_resize(block, old, rounded + slack);
            if (moved != NULL)
                hak_gauge_add(mapped_bytes, (int64_t)(rounded + slack) - (int64_t)old);
        }
        rounded += slack;
    }
    if (moved != NULL) {
        struct big_block was = *entry;
        remove_entry(entry);
        entry = insert((uintptr_t)moved, rounded, was.site);
        entry->slack = slack;
        entry->is_part = into != 0 || (moved == block && was.is_part);
        table.slack_bytes += slack;
        count_live((int64_t)rounded - (int64_t)old, 0);
        settle_for_growth();
    }
    hak_lock_release(&table.lock);
    return moved;
}

void hak_big_fork_prepare(void)
{
    hak_lock_take(&table.lock);
}

void hak_big_fork_done(int in_child)
{
    hak_lock_fork_done(&table.lock, in_child);
}
