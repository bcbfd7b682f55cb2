/* The CAP rule: see cap.h. */
#include "cap.h"

#include <math.h>

/* Dead band 0.03: at 256 samples a hit rate's standard error is 0.031 at most. Bounds: a cap of
 * 4096 units of 32 KiB is 128 MiB, of 256 units of 1 MiB 256 MiB, as much as BigCache may hold. */
struct hak_cap_config hak_cap_config_mid(void) {
    return (struct hak_cap_config){.target_hit_rate = 0.65,
                                   .dead_band = 0.03,
                                   .step = 4,
                                   .cap_min = 4,
                                   .cap_max = 4096,
                                   .min_samples = 256};
}

struct hak_cap_config hak_cap_config_large(void) {
    return (struct hak_cap_config){.target_hit_rate = 0.55,
                                   .dead_band = 0.03,
                                   .step = 1,
                                   .cap_min = 1,
                                   .cap_max = 256,
                                   .min_samples = 256};
}

double hak_cap_hit_rate(const struct hak_cap_class *one) {
    if (one->hits + one->misses == 0)
        return NAN;
    return (double)one->hits / ((double)one->hits + (double)one->misses);
}

/* -1, 0 or +1: where the hit rate wants the cap to go. */
static int direction(const struct hak_cap_config *config, const struct hak_cap_class *one) {
    if (one->cap == 0 || one->hits + one->misses < config->min_samples)
        return 0;
    double off = hak_cap_hit_rate(one) - config->target_hit_rate; /* NaN: no request, no move */
    return off > config->dead_band ? -1 : off < -config->dead_band ? 1 : 0;
}

static uint32_t floor_cap(const struct hak_cap_config *config) {
    return config->cap_min > 0 ? config->cap_min : 1;
}

/* An eighth above what is in use, for a window's swings. */
static uint32_t useful_floor(const struct hak_cap_config *config, const struct hak_cap_class *one) {
    uint32_t useful = one->in_use + one->in_use / 8 + (one->in_use > 0);
    return useful > floor_cap(config) ? useful : floor_cap(config);
}

/* One step down, not below the floor; the bytes given up. */
static uint64_t lower(const struct hak_cap_config *config, struct hak_cap_class *one,
                      uint32_t least) {
    if (one->cap <= least)
        return 0;
    uint32_t step = one->cap - least < config->step ? one->cap - least : config->step;
    one->cap -= step;
    return step * one->unit_bytes;
}

static uint64_t held_bytes(const struct hak_cap_class *classes, uint32_t count) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += classes[i].cap * classes[i].unit_bytes;
    return sum;
}

/* The class of the set (a bit each) with the most or the fewest misses; count when it is empty. */
static uint32_t pick(const struct hak_cap_class *classes, uint32_t count, uint32_t set, bool most) {
    uint32_t best = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!(set >> i & 1))
            continue;
        if (best == count || (most ? classes[i].misses > classes[best].misses
                                   : classes[i].misses < classes[best].misses))
            best = i;
    }
    return best;
}

/* Takes a step from donors until bytes fit under the budget; false when they do not. */
static bool make_room(const struct hak_cap_config *config, struct hak_cap_class *classes,
                      uint32_t count, uint32_t *donors, uint64_t bytes,
                      struct hak_cap_result *result) {
    while (result->held_bytes + bytes > config->budget_bytes) {
        uint32_t donor = pick(classes, count, *donors, false);
        if (donor == count)
            return false;
        *donors &= ~(1u << donor);
        uint64_t given = lower(config, &classes[donor], floor_cap(config));
        result->held_bytes -= given;
        result->lowered += given > 0;
    }
    return true;
}

struct hak_cap_result hak_cap_move(const struct hak_cap_config *config,
                                   struct hak_cap_class *classes, uint32_t count) {
    struct hak_cap_result result = {.raised = 0};
    uint32_t donors = 0, wanting = 0;
    count = count < HAK_CAP_CLASSES_MAX ? count : HAK_CAP_CLASSES_MAX;
    bool budget = config->budget_bytes > 0;
    bool over = budget && held_bytes(classes, count) > config->budget_bytes;
    for (uint32_t i = 0; i < count; i++) {
        int way = direction(config, &classes[i]);
        uint32_t least = over ? floor_cap(config) : useful_floor(config, &classes[i]);
        if (way < 0)
            result.lowered += lower(config, &classes[i], least) > 0;
        else if (way > 0 && classes[i].cap < config->cap_max)
            wanting |= 1u << i;
        else if (classes[i].cap > 0)
            donors |= 1u << i;
    }
    result.held_bytes = held_bytes(classes, count);
    /* A budget that was cut since the last window binds those that want more as well. */
    if (budget && !make_room(config, classes, count, &donors, 0, &result)) {
        result.denied = (uint32_t)__builtin_popcount(wanting);
        make_room(config, classes, count, &wanting, 0, &result);
        return result;
    }
    while (wanting) {
        uint32_t i = pick(classes, count, wanting, true);
        wanting &= ~(1u << i);
        uint32_t room = config->cap_max - classes[i].cap;
        uint32_t step = room < config->step ? room : config->step;
        uint64_t bytes = step * classes[i].unit_bytes;
        if (budget && !make_room(config, classes, count, &donors, bytes, &result)) {
            result.denied++;
            continue;
        }
        classes[i].cap += step;
        result.held_bytes += bytes;
        result.raised++;
    }
    return result;
}

uint32_t hak_cap_bundle(uint32_t held, uint32_t cap) {
    if (cap == 0)
        return 4;
    if (held >= cap)
        return 1;
    uint32_t deficit = cap - held;
    if (deficit == 1)
        return cap <= 4 ? 2 : 1;
    return deficit < 4 ? deficit : 4;
}

uint32_t hak_cap_neighbours(uint32_t held, uint32_t cap) {
    if (cap == 0 || held < cap)
        return 0;
    uint64_t over = held - cap;
    return over > 0 && 4 * over >= cap ? 2 : 1;
}
