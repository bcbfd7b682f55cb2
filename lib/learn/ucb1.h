/*
 * ucb1.h - which arm to try next under uncertainty (UCB1), and a walk of single steps over it.
 *
 * P. Auer, N. Cesa-Bianchi and P. Fischer, "Finite-time analysis of the multiarmed bandit
 * problem", Machine Learning 47, 2002. With rewards in 0..1, play every arm once, then the arm
 * with the highest index
 *
 *   index(j) = mean_j + sqrt(exploration * ln(n) / n_j)          exploration = 2 in the paper
 *
 * and the expected regret after n plays is at most 8 sum(ln n / gap_j) + (1 + pi^2/3) sum(gap_j).
 *
 * The walk puts hysteresis over it, since a move changes a running program: arms are a ladder
 * (neighbours differ little), only the arms one step away are tried, and the walk moves after
 * the tried arm was better by `improvement` in `windows` windows running, then rests for
 * `cooldown_ns`.
 *
 * Owned by whoever holds the struct, for one thread at a time (the learner's). No I/O; the clock
 * is an argument.
 *
 * It does not: measure a reward, know what an arm means, or forget by itself: call
 * hak_ucb1_walk_forget when the workload has shifted.
 */
#ifndef HAK_LEARN_UCB1_H
#define HAK_LEARN_UCB1_H

#include <stdbool.h>
#include <stdint.h>

#define HAK_UCB1_ARMS_MAX 16
#define HAK_UCB1_EXPLORATION 2.0 /* the value that the regret bound holds for */

struct hak_ucb1 {
    uint32_t arms; /* 1..HAK_UCB1_ARMS_MAX */
    double exploration;
    uint64_t plays; /* sum of arm_plays */
    uint64_t arm_plays[HAK_UCB1_ARMS_MAX];
    double reward_sum[HAK_UCB1_ARMS_MAX];
};

/* No plays; arms is cut to the maximum, exploration < 0 means HAK_UCB1_EXPLORATION. */
void hak_ucb1_init(struct hak_ucb1 *ucb1, uint32_t arms, double exploration);

/* Adds one reward; cut to 0..1; false, and no change, for an unknown arm or a NaN. */
bool hak_ucb1_add(struct hak_ucb1 *ucb1, uint32_t arm, double reward);

/* Mean reward of the arm; NaN while it was never played. */
double hak_ucb1_mean(const struct hak_ucb1 *ucb1, uint32_t arm);

/* The upper confidence bound; infinity while the arm was never played. */
double hak_ucb1_index(const struct hak_ucb1 *ucb1, uint32_t arm);

/* The arm with the highest index; the lowest arm among equals. */
uint32_t hak_ucb1_select(const struct hak_ucb1 *ucb1);

struct hak_ucb1_walk_config {
    double improvement;   /* relative gain that a window must show; 0.08 = 8 % */
    uint32_t windows;     /* such windows running before a move */
    uint64_t cooldown_ns; /* no trial and no move for so long after a move */
    double exploration;   /* of the bandit underneath */
};

/*
 * 8 %, three windows, 180 s. Exploration 0.08: UCB1's 2 is 8 sigma^2 for rewards spread over all
 * of 0..1 (sigma 1/2); ratios of costs within one program spread by about 0.1.
 */
struct hak_ucb1_walk_config hak_ucb1_walk_config_default(void);

struct hak_ucb1_walk {
    struct hak_ucb1_walk_config config;
    struct hak_ucb1 bandit;
    uint32_t current; /* the arm in force */
    uint32_t trial;   /* the arm of the running streak; meaningful while streak > 0 */
    uint32_t streak;  /* windows running that the trial was better */
    uint64_t moves;
    uint64_t moved_at_ns; /* meaningful while moves > 0 */
};

/* Starts at arm start (cut to the last arm). */
void hak_ucb1_walk_init(struct hak_ucb1_walk *walk, const struct hak_ucb1_walk_config *config,
                        uint32_t arms, uint32_t start);

/* The neighbour worth trying in this window; the current arm itself when there is none. */
uint32_t hak_ucb1_walk_propose(const struct hak_ucb1_walk *walk, uint64_t now_ns);

/*
 * Ends a window in which the current arm earned current_reward and the neighbour trial earned
 * trial_reward (0..1, proportional to what is to be gained, so that a ratio means something; NaN
 * is missing). True when the walk has moved to trial.
 */
bool hak_ucb1_walk_window(struct hak_ucb1_walk *walk, uint64_t now_ns, uint32_t trial,
                          double current_reward, double trial_reward);

/* Drops what the bandit has learnt, keeps the current arm and the cooldown. */
void hak_ucb1_walk_forget(struct hak_ucb1_walk *walk);

#endif
