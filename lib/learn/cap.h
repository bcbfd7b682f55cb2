/*
 * cap.h - how much the Mid and Large pools may keep: caps moved towards target hit rates.
 *
 * Each window, for each class with samples enough: a hit rate below the target raises the
 * class's cap by one step, one above it lowers the cap by one step; the sum over the classes
 * stays within a budget. When it does not suffice for all, the classes with the most misses are
 * served first, and classes that asked for nothing each give up one step, those with the fewest
 * misses first. But for the budget, no cap is lowered to less than what its class has in use: over
 * its cap a pool works harder, and what is in use does not come back by that. This is an
 * integral controller with a dead band (K. Astrom and R. Murray, "Feedback Systems", 2008, 10.1);
 * steps and targets are the project's: mid 0.65 by 4, large 0.55 by 1.
 *
 * A cap counts units (blocks or bundles; unit_bytes says how large one is). It is soft: over it
 * the pools refill sparingly, see hak_cap_bundle.
 *
 * hak_cap_move: the learner thread, on its own arrays. hak_cap_bundle and hak_cap_neighbours:
 * pure, any thread, on slow paths. No I/O, no allocation, no clock.
 *
 * It does not: free anything, read counters, or touch a class whose cap is 0 (none).
 */
#ifndef HAK_LEARN_CAP_H
#define HAK_LEARN_CAP_H

#include <stdbool.h>
#include <stdint.h>

#define HAK_CAP_CLASSES_MAX 16

struct hak_cap_config {
    double target_hit_rate; /* 0..1 */
    double dead_band;       /* no move within target +- this */
    uint32_t step;          /* units per window */
    uint32_t cap_min;       /* a cap never falls below (at least 1: 0 would mean no cap) */
    uint32_t cap_max;
    uint64_t min_samples;  /* hits + misses that make a hit rate count */
    uint64_t budget_bytes; /* over all capped classes; 0 is no budget */
};

struct hak_cap_config hak_cap_config_mid(void);   /* target 0.65, step 4 */
struct hak_cap_config hak_cap_config_large(void); /* target 0.55, step 1 */

struct hak_cap_class {
    uint64_t hits;       /* requests of this window served from the pool */
    uint64_t misses;     /* requests of this window that were not */
    uint64_t unit_bytes; /* what one unit of cap holds */
    uint32_t cap;        /* in: in force; out: for the next window; units, 0 = none */
    uint32_t in_use;     /* units that the program holds: a cap below them saves nothing */
};

struct hak_cap_result {
    uint32_t raised;     /* classes whose cap rose */
    uint32_t lowered;    /* classes whose cap fell */
    uint32_t denied;     /* classes that wanted to rise and did not for want of budget */
    uint64_t held_bytes; /* sum of cap * unit_bytes after the moves */
};

/* Hit rate of the window; NaN when there was no request. */
double hak_cap_hit_rate(const struct hak_cap_class *one);

/* Moves the caps of up to HAK_CAP_CLASSES_MAX classes; more are left alone. */
struct hak_cap_result hak_cap_move(const struct hak_cap_config *config,
                                   struct hak_cap_class *classes, uint32_t count);

/*
 * Units to refill at once, 1..4: 1 when held is at or over the cap, else by the deficit: one for
 * each unit missing, at least 2 when a quarter of the cap is missing. cap 0 (none) gives 4.
 */
uint32_t hak_cap_bundle(uint32_t held, uint32_t cap);

/* Neighbour shards that an empty shard probes before it refills: 0 under the cap, 1 from it on, 2
 * from a quarter above it on. cap 0 (none) gives 0. */
uint32_t hak_cap_neighbours(uint32_t held, uint32_t cap);

#endif
