/*
 * trials.h - settings that are walked one at a time by paired windows: W_MAX of Mid, W_MAX of
 * Large, the extra Mid class (DYN1), and the room to spare of blocks that realloc moves.
 *
 * Each is a ladder under UCB1's walk (ucb1.h: +-1 step, 8 % better three times running, cooldown).
 * A trial is a window under the neighbouring rung after a window under the present one: a canary in
 * time, since a class cannot be given to a share of the requests. What did not win is taken
 * back at once. For the pools, the reward of a window is what they serve for the memory that they
 * hold,
 *
 *   live blocks * 4 KiB / mapped bytes / (1 + miss_weight * misses / requests), cut to 0..1
 *
 * over the classes of the tier, so that only ratios between windows mean something. For realloc it
 * is what moving saves against what the room to spare costs,
 *
 *   1 / (1 + move_weight * moves / reallocs + slack)
 *
 * DYN1 has one rung, none, until a size is offered (dyn1.h). A setting that somebody has pinned
 * is not walked.
 *
 * Owned by the learner thread. No I/O, no allocation; the clock is an argument.
 *
 * It does not: know knobs, or publish.
 */
#ifndef HAK_LEARN_TRIALS_H
#define HAK_LEARN_TRIALS_H

#include "ucb1.h"

enum hak_trial {
    HAK_TRIAL_W_MAX_MID,
    HAK_TRIAL_W_MAX_LARGE,
    HAK_TRIAL_DYN1,
    HAK_TRIAL_SLACK,
    HAK_TRIALS
};

/* What a tier has shown in a window. */
struct hak_trial_window {
    uint64_t requests;     /* to the pools */
    uint64_t misses;       /* of these, the ones that had to map, or went to Big */
    uint64_t live_blocks;  /* at the end */
    uint64_t mapped_bytes; /* likewise */
};

/* What a window has shown. */
struct hak_trials_seen {
    struct hak_trial_window mid, large;
    uint64_t realloc_stays; /* blocks that could stay where they lie */
    uint64_t realloc_moves; /* blocks that were copied */
};

struct hak_trials_config {
    struct hak_ucb1_walk_config walk;
    double miss_weight;
    double move_weight;    /* copying a block once costs as much as so many times its size */
    uint64_t min_requests; /* that make a window count */
    uint32_t rungs[HAK_TRIALS];
    /* permille, permille, bytes, permille; ascending */
    uint32_t value[HAK_TRIALS][HAK_UCB1_ARMS_MAX];
};

struct hak_trials_config hak_trials_config_default(void);

struct hak_trials {
    struct hak_trials_config config;
    struct hak_ucb1_walk walk[HAK_TRIALS];
    bool pinned[HAK_TRIALS];
    uint32_t turn;         /* the ladder whose trials run */
    uint32_t trial;        /* the rung that this window runs under, while trying */
    bool trying;
    double present_reward; /* of the window before */
};

/* start[i] is the value in force: the walk starts on the nearest rung not below it. */
void hak_trials_init(struct hak_trials *trials, const struct hak_trials_config *config,
                     const uint32_t start[HAK_TRIALS]);

/* Somebody else has set `which`: its walk begins anew at that value, or rests while it is pinned.
 * A trial of it that runs is over. */
void hak_trials_place(struct hak_trials *trials, enum hak_trial which, uint32_t value, bool pinned);

/* An extra class of this size is worth a try; only the first one is taken. */
void hak_trials_offer(struct hak_trials *trials, uint32_t dyn1_bytes);

/* Of a tier, 0..1; NaN with too few requests or nothing mapped. */
double hak_trials_reward(const struct hak_trials_config *config,
                         const struct hak_trial_window *window);

/* Of realloc under so much slack, 0..1; NaN with too few reallocs. */
double hak_trials_realloc_reward(const struct hak_trials_config *config,
                                 const struct hak_trials_seen *seen, uint32_t slack_permille);

/* Ends a window. True when a value in force changed. */
bool hak_trials_window(struct hak_trials *trials, uint64_t now_ns,
                       const struct hak_trials_seen *seen);

/* The value in force for the coming window. */
uint32_t hak_trials_value(const struct hak_trials *trials, enum hak_trial which);

#endif
