/*
 * ace_controller.h - TLS capacity and drain share from what the window has shown: two loops.
 *
 * Fast (every window): per Tiny class, the capacity of the TLS list doubles when the list both
 * runs empty and overflows (its misses are then its own doing), and halves when it hardly misses
 * while its memory is fragmented, or when it has been idle. Multiplicative both ways, between a
 * floor and a ceiling, within a budget of TLS bytes. Lists that hold next to nothing are not
 * halved. The ceiling starts below what front_cap gives the smallest classes: what lies in a list
 * comes back cold, and keeps its slab. On bench/fragmentation lists of 64 blocks took 0.88 of the
 * time of lists of 256, and lists of 512 took 1.08.
 *
 * Slow (every slow window): the ceiling and the drain share are two ladders, each walked by UCB1
 * (ucb1.h: +-1 step, 8 % better three times running, cooldown), one at a time, so that a
 * difference has one cause. A trial is a window under the neighbouring setting after a window
 * under the present one; the two rewards are compared as a pair. Reward of a window:
 *
 *   1 / (1 + slow_weight * slow paths / operations + waste_weight * (mapped / live - 1))
 *
 * UCB1: P. Auer, N. Cesa-Bianchi and P. Fischer, 2002. The reward and the fast rule are the
 * project's own; per-thread lists that earn their length by misses and lose it by disuse are in
 * S. Ghemawat and P. Menage, "TCMalloc: Thread-Caching Malloc", 2007.
 *
 * Owned by the learner thread, which alone may call it. No I/O, no allocation; the clock is an
 * argument.
 *
 * It does not: read counters or publish a policy: the learner does, before and after.
 */
#ifndef HAK_LEARN_ACE_CONTROLLER_H
#define HAK_LEARN_ACE_CONTROLLER_H

#include "ucb1.h"

#define HAK_ACE_CONTROLLER_CLASSES_MAX 64

struct hak_ace_controller_config {
    uint32_t capacity_floor; /* slots that a list always may keep */
    uint64_t min_operations; /* pops of a class in a window that make its rates count */
    double grow_miss_rate;   /* refills / pops above which a thrashing list grows */
    double shrink_miss_rate; /* refills / pops below which a list of wasted memory shrinks */
    double waste_ratio;      /* mapped / live bytes above which memory counts as fragmented */
    double waste_share;      /* of what is wasted, that lists must hold to shrink for it */
    uint32_t idle_windows;   /* windows running without enough pops before a list shrinks */
    uint64_t keep_bytes;     /* a class whose lists hold no more than this does not shrink */
    uint64_t budget_bytes;   /* capacity * block bytes * threads over all classes; 0 is none */
    double slow_weight;      /* what a slow path costs, in front hits */
    double waste_weight;     /* what mapping live memory twice over costs, in front hits per pop */
    struct hak_ucb1_walk_config walk;
    uint32_t ceilings, drains; /* rungs of the two ladders, 1..HAK_UCB1_ARMS_MAX */
    uint32_t ceiling_slots[HAK_UCB1_ARMS_MAX];  /* ascending */
    uint32_t drain_permille[HAK_UCB1_ARMS_MAX]; /* of a full list, given back at once; ascending */
    uint32_t ceiling_start, drain_start;        /* rungs to start from */
};

struct hak_ace_controller_config hak_ace_controller_config_default(void);

/* One class in one window. */
struct hak_ace_class_window {
    uint64_t hits;         /* pops served by the TLS list */
    uint64_t refills;      /* pops that found it empty */
    uint64_t drains;       /* pushes that found it full */
    uint64_t live_bytes;   /* at the end of the window */
    uint64_t mapped_bytes; /* likewise */
    uint64_t block_bytes;  /* stride of the class */
};

enum hak_ace_controller_turn { HAK_ACE_TURN_CEILING, HAK_ACE_TURN_DRAIN };

struct hak_ace_controller {
    struct hak_ace_controller_config config;
    uint32_t classes;
    uint32_t capacity_slots[HAK_ACE_CONTROLLER_CLASSES_MAX]; /* decision: per class */
    uint32_t ceiling_slots;                                  /* decision: bound of the above */
    uint32_t drain_permille;                                 /* decision */
    uint32_t idle[HAK_ACE_CONTROLLER_CLASSES_MAX];           /* windows running without pops */
    uint64_t held_bytes; /* what the lists may hold, by the last fast window */
    struct hak_ucb1_walk ceiling, drain;
    enum hak_ace_controller_turn turn; /* the ladder whose trials run */
    bool trying;                       /* this slow window runs under the rung `trial` */
    uint32_t trial;
    double present_reward; /* of the window before the trial */
    uint32_t before_trial[HAK_ACE_CONTROLLER_CLASSES_MAX]; /* capacities to go back to */
};

/* Class i starts at start_slots[i], cut to floor and ceiling. */
void hak_ace_controller_init(struct hak_ace_controller *controller,
                             const struct hak_ace_controller_config *config, uint32_t classes,
                             const uint32_t *start_slots);

/* Ends a fast window; window has one entry per class. Returns how many capacities changed. */
uint32_t hak_ace_controller_fast(struct hak_ace_controller *controller,
                                 const struct hak_ace_class_window *window, uint32_t threads);

/* The reward of a window over all classes, above 0 and up to 1; NaN without pops or live bytes. */
double hak_ace_controller_reward(const struct hak_ace_controller_config *config,
                                 const struct hak_ace_class_window *window, uint32_t classes);

/* Ends a slow window that earned reward (NaN is missing). True when a decision changed. */
bool hak_ace_controller_slow(struct hak_ace_controller *controller, uint64_t now_ns, double reward);

#endif
