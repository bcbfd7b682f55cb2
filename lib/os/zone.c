#include "os/zone.h"

#include "os/lock.h"
#include "os/os.h"

struct hak_zone hak_zone;

/* 512 GiB of zone cost 128 MiB of reserved tables; smaller zones are for address-space
 * limits that cannot bear that. */
static const unsigned zone_lgs[] = {39, 36, 33, 30, 28};

/* Where the zone may lie: below the halves that valgrind and the sanitizers keep for
 * themselves, above what programs and runtimes use of the low terabyte. */
#if defined(__SANITIZE_ADDRESS__)
#define ZONE_LOWEST 0x200000000000u
#elif defined(__SANITIZE_THREAD__)
#define ZONE_LOWEST 0x7e8000000000u
#else
#define ZONE_LOWEST 0x010000000000u
#endif
#if defined(__SANITIZE_THREAD__)
#define ZONE_PLACES 1 /* thread sanitizer leaves room for one */
#else
#define ZONE_PLACES 6144 /* of HAK_ZONE_ALIGN_BYTES: the base is random over 6 TiB */
#endif

#define COMMIT_UNITS ((size_t)16384) /* tables grow by 1 GiB of zone */
#define TABLE_BYTES_PER_UNIT 16      /* map, state, next, run */

/* Ranges that came back wait here by log2 of their units, linked through the table of
 * links, so that address space does not run out by being reused. */
#define KEPT_LGS 24 /* up to the whole zone */

static struct {
    struct hak_lock lock;
    size_t next;      /* units below were taken at some time */
    size_t committed; /* units whose table words are writable */
    uint32_t kept[KEPT_LGS]; /* first unit + 1, or 0 */
} zone;

/* Tables take at most this part of a limited address space. */
#define TABLE_SHARE 64

static int reserve_tables(size_t units)
{
    if (units * TABLE_BYTES_PER_UNIT > hak_os_address_space() / TABLE_SHARE)
        return -ENOMEM;
    char *tables = hak_os.reserve(units * TABLE_BYTES_PER_UNIT);
    if (tables == NULL)
        return -ENOMEM;
    hak_zone.map = (uint32_t *)tables;
    hak_zone.state = hak_zone.map + units;
    hak_zone.next = hak_zone.state + units;
    hak_zone.run = hak_zone.next + units;
    return 0;
}

int hak_zone_start(void)
{
    for (size_t i = 0; i < HAK_COUNT_OF(zone_lgs); i++) {
        size_t units = (size_t)1 << (zone_lgs[i] - HAK_UNIT_LG);
        if (reserve_tables(units) != 0)
            continue;
        hak_zone.base = ZONE_LOWEST + (hak_os_random() % ZONE_PLACES) * HAK_ZONE_ALIGN_BYTES;
        hak_store_release(&hak_zone.units, units);
        return 0;
    }
    return -ENOMEM;
}

static int commit_table(uint32_t *table, size_t from, size_t to)
{
    return hak_os.commit(table + from, (to - from) * sizeof *table);
}

/* Table words of units below `end` become writable. */
static int commit_tables(size_t end)
{
    while (zone.committed < end) {
        size_t from = zone.committed;
        size_t to = hak_min(from + COMMIT_UNITS, hak_zone.units);
        if (commit_table(hak_zone.map, from, to) != 0 ||
            commit_table(hak_zone.state, from, to) != 0 ||
            commit_table(hak_zone.next, from, to) != 0 ||
            commit_table(hak_zone.run, from, to) != 0)
            return -ENOMEM;
        zone.committed = to;
    }
    return 0;
}

/* A foreign mapping may lie inside the zone: step over it. */
static size_t map_next(size_t units, size_t align_units)
{
    if (hak_zone.units == 0) {
        errno = ENOMEM;
        return HAK_NO_UNIT;
    }
    size_t at = hak_align_up(zone.next, align_units);
    for (; at + units <= hak_zone.units; at = hak_align_up(at + units, align_units)) {
        if (commit_tables(at + units) != 0)
            break;
        errno = 0;
        if (hak_os.map(hak_unit_address(at), units << HAK_UNIT_LG) != NULL) {
            zone.next = at + units;
            return at;
        }
        if (errno != EEXIST)
            break;
    }
    errno = at + units > hak_zone.units ? ENOSPC : ENOMEM;
    return HAK_NO_UNIT;
}

/* Powers of two, naturally aligned, are kept for the next taker. */
static int kept_index(size_t unit, size_t units)
{
    if (!hak_is_pow2(units) || units >= (size_t)1 << KEPT_LGS || unit % units != 0)
        return -1;
    return (int)hak_lg(units);
}

static size_t take_kept(size_t units, size_t align_units)
{
    int index = kept_index(0, units);
    if (index < 0 || align_units > units || zone.kept[index] == 0)
        return HAK_NO_UNIT;
    size_t unit = zone.kept[index] - 1;
    errno = 0;
    void *at = hak_os.map(hak_unit_address(unit), units << HAK_UNIT_LG);
    if (at == NULL && errno != EEXIST) /* a range that somebody else has taken is let go */
        return HAK_NO_UNIT;
    zone.kept[index] = hak_zone.next[unit];
    return at != NULL ? unit : HAK_NO_UNIT;
}

size_t hak_zone_take(size_t units, size_t align_units)
{
    size_t natural = hak_is_pow2(units) ? units : 1;
    hak_lock_take(&zone.lock);
    if (hak_unlikely(hak_zone.units == 0)) /* there was no memory for the tables */
        hak_zone_start();
    size_t unit = take_kept(units, align_units);
    if (unit == HAK_NO_UNIT)
        unit = map_next(units, hak_max(align_units, natural));
    hak_lock_release(&zone.lock);
    return unit;
}

void hak_zone_give(size_t unit, size_t units)
{
    int index = kept_index(unit, units);
    hak_lock_take(&zone.lock);
    int error = hak_os.unmap(hak_unit_address(unit), units << HAK_UNIT_LG);
    if (error == 0 && index >= 0) {
        hak_zone.next[unit] = zone.kept[index];
        zone.kept[index] = (uint32_t)unit + 1;
    }
    hak_lock_release(&zone.lock);
}

void hak_zone_fork_prepare(void)
{
    hak_lock_take(&zone.lock);
}

void hak_zone_fork_done(int in_child)
{
    hak_lock_fork_done(&zone.lock, in_child);
}
