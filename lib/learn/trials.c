/* Ladders walked by paired windows: see trials.h. */
#include "trials.h"

#include <math.h>

#define UNIT_BYTES 4096.0

struct hak_trials_config hak_trials_config_default(void) {
    return (struct hak_trials_config){
        .walk = hak_ucb1_walk_config_default(),
        .miss_weight = 20, /* a mapping costs some twenty refills */
        .move_weight = 2,
        .min_requests = 256,
        .rungs = {5, 5, 1, 3},
        .value = {{1250, 1400, 1600, 2000, 3000},
                  {1250, 1400, 1600, 2000, 3000},
                  {0},
                  {0, 250, 500}},
    };
}

static uint32_t rung_of(const struct hak_trials_config *config, uint32_t which, uint32_t value) {
    uint32_t rung = 0;
    while (rung + 1 < config->rungs[which] && config->value[which][rung] < value)
        rung++;
    return rung;
}

static void start_walk(struct hak_trials *t, uint32_t which, uint32_t value) {
    hak_ucb1_walk_init(&t->walk[which], &t->config.walk, t->config.rungs[which],
                       rung_of(&t->config, which, value));
}

void hak_trials_init(struct hak_trials *t, const struct hak_trials_config *config,
                     const uint32_t start[HAK_TRIALS]) {
    *t = (struct hak_trials){.config = *config, .present_reward = NAN};
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        start_walk(t, i, start[i]);
}

static void pass_turn(struct hak_trials *t) {
    t->turn = (t->turn + 1) % HAK_TRIALS;
}

void hak_trials_place(struct hak_trials *t, enum hak_trial which, uint32_t value, bool pinned) {
    start_walk(t, which, value);
    t->pinned[which] = pinned;
    if (t->turn == (uint32_t)which) {
        t->trying = false;
        pass_turn(t);
    }
}

void hak_trials_offer(struct hak_trials *t, uint32_t dyn1_bytes) {
    if (t->config.rungs[HAK_TRIAL_DYN1] > 1)
        return;
    t->config.value[HAK_TRIAL_DYN1][1] = dyn1_bytes;
    t->config.rungs[HAK_TRIAL_DYN1] = 2;
    start_walk(t, HAK_TRIAL_DYN1, 0);
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

double hak_trials_realloc_reward(const struct hak_trials_config *config,
                                 const struct hak_trials_seen *seen, uint32_t slack_permille) {
    uint64_t reallocs = seen->realloc_stays + seen->realloc_moves;
    if (reallocs < config->min_requests || reallocs == 0)
        return NAN;
    double moved = (double)seen->realloc_moves / (double)reallocs;
    return 1 / (1 + config->move_weight * moved + slack_permille / 1000.0);
}

uint32_t hak_trials_value(const struct hak_trials *t, enum hak_trial which) {
    bool on_trial = t->trying && t->turn == (uint32_t)which;
    return t->config.value[which][on_trial ? t->trial : t->walk[which].current];
}

static double reward_of_turn(const struct hak_trials *t, const struct hak_trials_seen *seen) {
    if (t->turn == HAK_TRIAL_SLACK)
        return hak_trials_realloc_reward(&t->config, seen, hak_trials_value(t, HAK_TRIAL_SLACK));
    return hak_trials_reward(&t->config,
                             t->turn == HAK_TRIAL_W_MAX_LARGE ? &seen->large : &seen->mid);
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
    if (isnan(reward) || t->pinned[t->turn]) { /* perhaps another one has something to compare */
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

bool hak_trials_window(struct hak_trials *t, uint64_t now_ns, const struct hak_trials_seen *seen) {
    uint32_t before[HAK_TRIALS], changed = 0;
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        before[i] = hak_trials_value(t, (enum hak_trial)i);
    double reward = reward_of_turn(t, seen);
    if (t->trying)
        end_trial(t, now_ns, reward);
    else
        open_trial(t, now_ns, reward);
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        changed += before[i] != hak_trials_value(t, (enum hak_trial)i);
    return changed != 0;
}
