/* Ladders walked by paired windows: see trials.h. */
#include "trials.h"

#include <math.h>

#define UNIT_BYTES 4096.0

struct hak_trials_config hak_trials_config_default(void) {
    return (struct hak_trials_config){
        .walk = hak_ucb1_walk_config_default(),
        .miss_weight = 20, /* a mapping costs some twenty refills */
        .min_requests = 256,
        .rungs = {5, 5, 2},
        .value = {{1250, 1400, 1600, 2000, 3000},
                  {1250, 1400, 1600, 2000, 3000},
                  {0, 14336}}, /* one size in a process */
    };
}

static uint32_t rung_of(const struct hak_trials_config *config, uint32_t which, uint32_t value) {
    uint32_t rung = 0;
    while (rung + 1 < config->rungs[which] && config->value[which][rung] < value)
        rung++;
    return rung;
}

void hak_trials_init(struct hak_trials *t, const struct hak_trials_config *config,
                     const uint32_t start[HAK_TRIALS]) {
    *t = (struct hak_trials){.config = *config, .present_reward = NAN};
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        hak_ucb1_walk_init(&t->walk[i], &config->walk, config->rungs[i],
                           rung_of(config, i, start[i]));
}

double hak_trials_reward(const struct hak_trials_config *config,
                         const struct hak_trial_window *w) {
    if (w->requests < config->min_requests || w->requests == 0 || w->mapped_bytes == 0)
        return NAN;
    double density = (double)w->live_blocks * UNIT_BYTES / (double)w->mapped_bytes;
    double reward =
        density / (1 + config->miss_weight * (double)w->misses / (double)w->requests);
    return reward < 1 ? reward : 1;
}

uint32_t hak_trials_value(const struct hak_trials *t, enum hak_trial which) {
    bool on_trial = t->trying && t->turn == (uint32_t)which;
    return t->config.value[which][on_trial ? t->trial : t->walk[which].current];
}

static void pass_turn(struct hak_trials *t) {
    t->turn = (t->turn + 1) % HAK_TRIALS;
}

/* A streak keeps the turn: it is about one rung. */
static void end_trial(struct hak_trials *t, uint64_t now_ns, double reward) {
    struct hak_ucb1_walk *walk = &t->walk[t->turn];
    hak_ucb1_walk_window(walk, now_ns, t->trial, t->present_reward, reward);
    t->trying = false;
    if (walk->streak == 0)
        pass_turn(t);
}

static void open_trial(struct hak_trials *t, uint64_t now_ns, double reward) {
    struct hak_ucb1_walk *walk = &t->walk[t->turn];
    if (isnan(reward)) { /* nothing to compare with: perhaps the other tier has */
        pass_turn(t);
        return;
    }
    t->trial = hak_ucb1_walk_propose(walk, now_ns);
    if (t->trial == walk->current) {
        hak_ucb1_add(&walk->bandit, walk->current, reward);
        pass_turn(t);
        return;
    }
    t->present_reward = reward;
    t->trying = true;
}

bool hak_trials_window(struct hak_trials *t, uint64_t now_ns, const struct hak_trial_window *mid,
                       const struct hak_trial_window *large) {
    uint32_t before[HAK_TRIALS], changed = 0;
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        before[i] = hak_trials_value(t, (enum hak_trial)i);
    double reward =
        hak_trials_reward(&t->config, t->turn == HAK_TRIAL_W_MAX_LARGE ? large : mid);
    if (t->trying)
        end_trial(t, now_ns, reward);
    else
        open_trial(t, now_ns, reward);
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        changed += before[i] != hak_trials_value(t, (enum hak_trial)i);
    return changed != 0;
}
