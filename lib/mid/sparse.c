#include "mid/sparse.h"

#include <sys/mman.h>

#include "core/counters.h"
#include "mid/span.h"
#include "os/lock.h"
#include "os/os.h"

/* The spans of a class are sparse while at most this part of them is resident. Of a class with
 * four to a doubling, a fifth is, when first and last pages of blocks are touched. */
#define SPARSE_PERMILLE 333
/* The first freed spans of a class are looked at, then one in so many: it takes microseconds. */
#define FIRST_LOOKS 4
#define GIVES_A_LOOK 512

/* Kept are at most so many bytes of addresses, and this part of all that direct blocks have. */
#define FREE_BYTES ((size_t)16 * HAK_MIB)
#define KEPT_PERCENT 75

struct place {
    uint32_t first; /* unit + 1, linked through the zone's states; 0: none */
    uint32_t units; /* of each span */
    uint32_t count;
    uint32_t least; /* the fewest since the last ageing */
    uint32_t gives; /* of spans that were clean when they were taken */
    uint32_t is_known;
    uint32_t resident_permille; /* of freed spans: a moving average */
};

#define CLEAN 1u /* state of a span's first unit while it is in use; of a kept one, the link */

static struct {
    struct hak_lock lock;
    struct place places[HAK_SPARSE_PLACES];
    size_t kept_bytes;
    size_t bytes; /* of all spans of direct blocks, kept ones included */
} sparse;

static int may_keep(size_t bytes)
{
    return sparse.kept_bytes + bytes <= FREE_BYTES + sparse.bytes / 100 * KEPT_PERCENT;
}

/* Only of a span that was empty when the class got it, the pages tell what its blocks touch. */
static int is_clean(size_t unit)
{
    return hak_load_relaxed(&hak_zone.state[unit]) == CLEAN;
}

static void set_clean(size_t unit, int clean)
{
    hak_store_relaxed(&hak_zone.state[unit], clean ? CLEAN : 0);
}

/* The OS refuses while memory is locked. */
static int empty(size_t unit, size_t units)
{
    int done = hak_os.advise(hak_unit_address(unit), units << HAK_UNIT_LG, MADV_DONTNEED) == 0;
    set_clean(unit, done);
    return done;
}

static void look_at(struct place *place, size_t unit)
{
    if (place->gives++ >= FIRST_LOOKS && place->gives % GIVES_A_LOOK != 0)
        return;
    size_t bytes = (size_t)place->units << HAK_UNIT_LG;
    uint32_t now = (uint32_t)(hak_os_resident(hak_unit_address(unit), bytes) * 1000 / bytes);
    uint32_t before = place->is_known ? place->resident_permille : now;
    place->resident_permille = (before * 3 + now) / 4;
    place->is_known = 1;
}

static int is_sparse(const struct place *place)
{
    return place->is_known && place->resident_permille <= SPARSE_PERMILLE;
}

static void count_kept(int64_t bytes)
{
    sparse.kept_bytes += (size_t)bytes;
    hak_gauge_add(sparse_bytes, bytes);
}

static void push(struct place *place, size_t unit)
{
    hak_store_relaxed(&hak_zone.state[unit], place->first);
    place->first = (uint32_t)unit + 1;
    place->count++;
    count_kept((int64_t)place->units << HAK_UNIT_LG);
}

static size_t pop(struct place *place)
{
    size_t unit = place->first - (size_t)1;
    place->first = hak_load_relaxed(&hak_zone.state[unit]);
    set_clean(unit, 1);
    place->count--;
    place->least = (uint32_t)hak_min(place->least, place->count);
    count_kept(-((int64_t)place->units << HAK_UNIT_LG));
    return unit;
}

/* ---- spans --------------------------------------------------------------------------------- */

static size_t take_fresh(const struct place *place, size_t units, int *zeroed)
{
    size_t unit = hak_span_take(units, zeroed);
    if (unit == HAK_NO_UNIT)
        return unit;
    sparse.bytes += units << HAK_UNIT_LG;
    set_clean(unit, *zeroed);
    if (!*zeroed && is_sparse(place))
        *zeroed = empty(unit, units);
    return unit;
}

size_t hak_sparse_take(unsigned index, size_t units, int *zeroed)
{
    struct place *place = &sparse.places[index];
    *zeroed = 0;
    hak_lock_take(&sparse.lock);
    size_t unit = place->first != 0 ? pop(place) : take_fresh(place, units, zeroed);
    hak_lock_release(&sparse.lock);
    return unit;
}

static void give_to_all(size_t unit, size_t units)
{
    set_clean(unit, 0);
    sparse.bytes -= units << HAK_UNIT_LG;
    hak_span_give(unit, units);
}

/* Kept, or without the few pages that would be the beginning of spans that are not sparse. */
static void give_sparse(struct place *place, size_t unit)
{
    int keeps = may_keep((size_t)place->units << HAK_UNIT_LG);
    if (!keeps || !is_clean(unit))
        keeps = empty(unit, place->units) && keeps;
    if (keeps)
        push(place, unit);
    else
        give_to_all(unit, place->units);
}

void hak_sparse_give(unsigned index, size_t unit, size_t units)
{
    struct place *place = &sparse.places[index];
    hak_lock_take(&sparse.lock);
    place->units = (uint32_t)units;
    if (is_clean(unit))
        look_at(place, unit);
    if (is_sparse(place))
        give_sparse(place, unit);
    else
        give_to_all(unit, units);
    hak_lock_release(&sparse.lock);
}

int hak_sparse_resize(size_t unit, size_t units, size_t new_units)
{
    hak_lock_take(&sparse.lock);
    int done = hak_span_resize(unit, units, new_units);
    if (done) {
        sparse.bytes += (new_units - units) << HAK_UNIT_LG;
        set_clean(unit, 0);
    }
    hak_lock_release(&sparse.lock);
    return done;
}

/* ---- what nobody needs ---------------------------------------------------------------------- */

static void give_some(struct place *place, uint32_t count)
{
    for (; count != 0; count--) {
        size_t unit = pop(place);
        give_to_all(unit, place->units);
    }
    place->least = place->count;
}

void hak_sparse_age(void)
{
    hak_lock_take(&sparse.lock);
    for (unsigned i = 0; i < HAK_SPARSE_PLACES; i++)
        give_some(&sparse.places[i], sparse.places[i].least);
    hak_lock_release(&sparse.lock);
}

size_t hak_sparse_give_all(void)
{
    hak_lock_take(&sparse.lock);
    size_t bytes = sparse.kept_bytes;
    for (unsigned i = 0; i < HAK_SPARSE_PLACES; i++)
        give_some(&sparse.places[i], sparse.places[i].count);
    hak_lock_release(&sparse.lock);
    return bytes;
}

void hak_sparse_fork_prepare(void)
{
    hak_lock_take(&sparse.lock);
}

void hak_sparse_fork_done(int in_child)
{
    hak_lock_fork_done(&sparse.lock, in_child);
}
