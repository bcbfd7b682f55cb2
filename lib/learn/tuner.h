/*
 * tuner.h - one ladder of arms, tuned by elo's ratings, signature's shifts and lifecycle's states.
 *
 * The caller runs windows. Before one it takes the weights (or draws an arm), so that the
 * strategy is chosen before the operations it governs; after it, it hands in what each arm cost
 * and which sizes were asked for, and gets the transition, if any. It may give every operation
 * an arm of its own by the weights, or one arm to a whole window: in LEARN an arm measured alone
 * plays against the costs remembered of the others. Dealing out operations is the better way,
 * since then both sides of a game have seen the same window. With rungs 10 % apart and costs
 * scattered by 10 % (standard deviation) it found the best of six arms in 120 of 120 simulated
 * runs, after 17 windows on average; dealing out windows in 112 of 120, after 31.
 *
 * The ladder of the mmap threshold is hak_tuner_threshold_bytes: 64 KiB, 128 KiB, ... 2 MiB.
 *
 * Owned by the learner thread, which alone may call it. No I/O, no allocation; clock and
 * randomness are arguments.
 *
 * It does not: measure (a p99 comes from p2.h), publish a policy, or run while FROZEN: then a
 * window needs the sizes only.
 */
#ifndef HAK_LEARN_TUNER_H
#define HAK_LEARN_TUNER_H

#include "elo.h"
#include "lifecycle.h"
#include "signature.h"

#define HAK_TUNER_ARMS_MAX HAK_ELO_ARMS_MAX
#define HAK_TUNER_THRESHOLD_ARMS 6

struct hak_tuner_config {
    struct hak_lifecycle_config lifecycle;
    double k_factor;             /* rating points that one game can move */
    double temperature;          /* rating points; softmax in LEARN */
    double epsilon;              /* share of uniform choice in LEARN */
    double draw_band;            /* costs so near to each other (relative) are a draw */
    double clear_margin;         /* rating points from the first to the second that are clear */
    uint32_t min_plays;          /* measured windows of every arm before a leader can be clear */
    uint32_t memory_windows;     /* a remembered cost plays for so many windows */
    uint64_t min_samples;        /* operations that make a cost count */
    uint64_t canary_min_samples; /* the same for the candidate of a canary */
};

/* Lifecycle's own; 16, 100, 10 %, 2 %, 60, 3, 32, 256, 32. */
struct hak_tuner_config hak_tuner_config_default(void);

/* What one arm has shown in one window. */
struct hak_tuner_observation {
    uint64_t samples; /* operations measured */
    double cost;      /* above 0, lower is better; any unit, the same for all arms */
};

struct hak_tuner {
    struct hak_tuner_config config;
    struct hak_elo elo;
    struct hak_lifecycle lifecycle;
    struct hak_signature baseline; /* sizes that the incumbent was chosen for; empty at first */
    uint64_t window;               /* windows ended so far */
    uint32_t shifted;              /* LEARN: windows running that did not look like the baseline */
    uint32_t plays[HAK_TUNER_ARMS_MAX];       /* measured windows of each arm */
    double cost[HAK_TUNER_ARMS_MAX];          /* last cost of each arm; valid if plays > 0 */
    uint64_t cost_window[HAK_TUNER_ARMS_MAX]; /* window it was measured in */
};

/* state is LEARN, or FROZEN on arm start. arms is cut to HAK_TUNER_ARMS_MAX. */
void hak_tuner_init(struct hak_tuner *tuner, const struct hak_tuner_config *config, uint32_t arms,
                    uint32_t start, enum hak_lifecycle_state state, uint64_t now_ns);

/* The share of operations for each arm in the coming window; sums to 1. */
void hak_tuner_weights(const struct hak_tuner *tuner, double weight[HAK_TUNER_ARMS_MAX]);

/* Draws an arm by these weights; uniform in 0..1, 1 excluded. */
uint32_t hak_tuner_select(const struct hak_tuner *tuner, double uniform);

/* Whether the window has samples enough to end; a caller with few operations may prolong it. */
bool hak_tuner_window_ready(const struct hak_tuner *tuner,
                            const struct hak_tuner_observation *observed);

/*
 * Ends a window. observed has one entry per arm; an arm with too few samples or without a positive
 * cost is missing. sizes are this window's alone; an empty signature says nothing about a shift.
 */
struct hak_lifecycle_event hak_tuner_window(struct hak_tuner *tuner, uint64_t now_ns,
                                            const struct hak_tuner_observation *observed,
                                            const struct hak_signature *sizes);

/* 64 KiB << arm for arm 0..5; the last one above. */
uint64_t hak_tuner_threshold_bytes(uint32_t arm);

#endif
