/* UCB1 and the walk over it: see ucb1.h. */
#include "ucb1.h"

#include "fmath.h"

void hak_ucb1_init(struct hak_ucb1 *ucb1, uint32_t arms, double exploration) {
    *ucb1 = (struct hak_ucb1){
        .arms = arms < 1                   ? 1
                : arms > HAK_UCB1_ARMS_MAX ? HAK_UCB1_ARMS_MAX
                                           : arms,
        .exploration = exploration >= 0 ? exploration : HAK_UCB1_EXPLORATION,
    };
}

bool hak_ucb1_add(struct hak_ucb1 *ucb1, uint32_t arm, double reward) {
    if (arm >= ucb1->arms || isnan(reward))
        return false;
    ucb1->reward_sum[arm] += reward < 0 ? 0 : reward > 1 ? 1 : reward;
    ucb1->arm_plays[arm]++;
    ucb1->plays++;
    return true;
}

double hak_ucb1_mean(const struct hak_ucb1 *ucb1, uint32_t arm) {
    if (arm >= ucb1->arms || ucb1->arm_plays[arm] == 0)
        return NAN;
    return ucb1->reward_sum[arm] / (double)ucb1->arm_plays[arm];
}

double hak_ucb1_index(const struct hak_ucb1 *ucb1, uint32_t arm) {
    if (arm >= ucb1->arms)
        return NAN;
    if (ucb1->arm_plays[arm] == 0)
        return INFINITY;
    double log_plays = hak_fmath_log((double)ucb1->plays);
    return hak_ucb1_mean(ucb1, arm) +
           hak_fmath_sqrt(ucb1->exploration * log_plays / (double)ucb1->arm_plays[arm]);
}

uint32_t hak_ucb1_select(const struct hak_ucb1 *ucb1) {
    uint32_t best = 0;
    for (uint32_t arm = 1; arm < ucb1->arms; arm++)
        if (hak_ucb1_index(ucb1, arm) > hak_ucb1_index(ucb1, best))
            best = arm;
    return best;
}

struct hak_ucb1_walk_config hak_ucb1_walk_config_default(void) {
    return (struct hak_ucb1_walk_config){.improvement = 0.08,
                                         .windows = 3,
                                         .cooldown_ns = UINT64_C(180000000000),
                                         .exploration = 0.08};
}

void hak_ucb1_walk_init(struct hak_ucb1_walk *walk, const struct hak_ucb1_walk_config *config,
                        uint32_t arms, uint32_t start) {
    *walk = (struct hak_ucb1_walk){.config = *config};
    hak_ucb1_init(&walk->bandit, arms, config->exploration);
    walk->current = start < walk->bandit.arms ? start : walk->bandit.arms - 1;
}

static bool cooling(const struct hak_ucb1_walk *walk, uint64_t now_ns) {
    return walk->moves > 0 && now_ns - walk->moved_at_ns < walk->config.cooldown_ns;
}

uint32_t hak_ucb1_walk_propose(const struct hak_ucb1_walk *walk, uint64_t now_ns) {
    uint32_t best = walk->current;
    if (cooling(walk, now_ns))
        return best;
    if (walk->streak > 0) /* a streak is about one arm: see it to its end */
        return walk->trial;
    if (walk->bandit.arm_plays[best] == 0) {
        /* Nothing is known: any neighbour will do, downwards first. */
        return best > 0 ? best - 1 : best + 1 < walk->bandit.arms ? best + 1 : best;
    }
    double best_index = hak_ucb1_index(&walk->bandit, best);
    const uint32_t neighbour[2] = {walk->current - 1, walk->current + 1}; /* 0 - 1 is no arm */
    for (int i = 0; i < 2; i++) {
        if (neighbour[i] >= walk->bandit.arms)
            continue;
        double index = hak_ucb1_index(&walk->bandit, neighbour[i]);
        if (index > best_index) {
            best = neighbour[i];
            best_index = index;
        }
    }
    return best;
}

bool hak_ucb1_walk_window(struct hak_ucb1_walk *walk, uint64_t now_ns, uint32_t trial,
                          double current_reward, double trial_reward) {
    hak_ucb1_add(&walk->bandit, walk->current, current_reward);
    bool neighbour = trial + 1 == walk->current || trial == walk->current + 1;
    if (!neighbour || !hak_ucb1_add(&walk->bandit, trial, trial_reward) || isnan(current_reward))
        return false;
    if (cooling(walk, now_ns))
        return false;
    bool better = trial_reward > current_reward &&
                  trial_reward >= current_reward * (1 + walk->config.improvement);
    if (!better) {
        walk->streak = 0;
        return false;
    }
    walk->streak = walk->streak > 0 && walk->trial == trial ? walk->streak + 1 : 1;
    walk->trial = trial;
    if (walk->streak < walk->config.windows)
        return false;
    walk->current = trial;
    walk->streak = 0;
    walk->moves++;
    walk->moved_at_ns = now_ns;
    return true;
}

void hak_ucb1_walk_forget(struct hak_ucb1_walk *walk) {
    hak_ucb1_init(&walk->bandit, walk->bandit.arms, walk->bandit.exploration);
    walk->streak = 0;
}
