/* The tuner of one ladder: see tuner.h. */
#include "tuner.h"

#include <math.h>

struct hak_tuner_config hak_tuner_config_default(void) {
    return (struct hak_tuner_config){
        .lifecycle = hak_lifecycle_config_default(),
        .k_factor = 16,
        .temperature = 100,
        .epsilon = 0.10,
        .draw_band = 0.02,
        .clear_margin = 60,
        .min_plays = 3,
        .memory_windows = 32,
        .min_samples = 256,
        .canary_min_samples = 32,
    };
}

uint64_t hak_tuner_threshold_bytes(uint32_t arm) {
    return UINT64_C(65536) << (arm < HAK_TUNER_THRESHOLD_ARMS ? arm : HAK_TUNER_THRESHOLD_ARMS - 1);
}

void hak_tuner_init(struct hak_tuner *tuner, const struct hak_tuner_config *config, uint32_t arms,
                    uint32_t start, enum hak_lifecycle_state state, uint64_t now_ns) {
    *tuner = (struct hak_tuner){.config = *config};
    hak_elo_init(&tuner->elo, arms, config->k_factor);
    hak_lifecycle_init(&tuner->lifecycle, &config->lifecycle, tuner->elo.arms, start, state,
                       now_ns);
}

/* LEARN: the incumbent is measured first, then every arm min_plays times, then by rating. */
static void learn_weights(const struct hak_tuner *t, double *weight) {
    uint32_t waiting = 0;
    for (uint32_t arm = 0; arm < t->elo.arms; arm++)
        waiting += t->plays[arm] < t->config.min_plays;
    if (waiting == 0) {
        hak_elo_weights(&t->elo, t->config.temperature, t->config.epsilon, weight);
        return;
    }
    bool first = t->plays[t->lifecycle.incumbent] == 0;
    for (uint32_t arm = 0; arm < t->elo.arms; arm++) {
        if (first)
            weight[arm] = arm == t->lifecycle.incumbent;
        else
            weight[arm] = t->plays[arm] < t->config.min_plays ? 1.0 / waiting : 0;
    }
}

void hak_tuner_weights(const struct hak_tuner *t, double weight[HAK_TUNER_ARMS_MAX]) {
    for (uint32_t arm = 0; arm < HAK_TUNER_ARMS_MAX; arm++)
        weight[arm] = 0;
    if (t->lifecycle.state == HAK_LIFECYCLE_LEARN) {
        learn_weights(t, weight);
        return;
    }
    double fraction =
        t->lifecycle.state == HAK_LIFECYCLE_CANARY ? t->lifecycle.config.canary_fraction : 0;
    weight[t->lifecycle.candidate] = fraction;
    weight[t->lifecycle.incumbent] = 1 - fraction;
}

uint32_t hak_tuner_select(const struct hak_tuner *t, double uniform) {
    double weight[HAK_TUNER_ARMS_MAX];
    hak_tuner_weights(t, weight);
    return hak_elo_draw(weight, t->elo.arms, uniform);
}

/* The cost of the arm in this window; NaN when it is missing. */
static double measured(const struct hak_tuner *t, const struct hak_tuner_observation *observed,
                       uint32_t arm) {
    bool canary = t->lifecycle.state == HAK_LIFECYCLE_CANARY && arm == t->lifecycle.candidate;
    uint64_t wanted = canary ? t->config.canary_min_samples : t->config.min_samples;
    if (observed[arm].samples == 0 || observed[arm].samples < wanted)
        return NAN;
    return observed[arm].cost > 0 && isfinite(observed[arm].cost) ? observed[arm].cost : NAN;
}

bool hak_tuner_window_ready(const struct hak_tuner *t,
                            const struct hak_tuner_observation *observed) {
    const struct hak_lifecycle *l = &t->lifecycle;
    if (l->state == HAK_LIFECYCLE_FROZEN)
        return true;
    if (l->state == HAK_LIFECYCLE_CANARY)
        return !isnan(measured(t, observed, l->incumbent)) &&
               !isnan(measured(t, observed, l->candidate));
    for (uint32_t arm = 0; arm < t->elo.arms; arm++)
        if (!isnan(measured(t, observed, arm)))
            return true;
    return false;
}

static bool remembered(const struct hak_tuner *t, uint32_t arm) {
    return t->plays[arm] > 0 && t->window - t->cost_window[arm] <= t->config.memory_windows;
}

/* Remembers the costs of this window; the arms measured in it, a bit each. */
static uint32_t remember(struct hak_tuner *t, const struct hak_tuner_observation *observed) {
    uint32_t fresh = 0;
    for (uint32_t arm = 0; arm < t->elo.arms; arm++) {
        double cost = measured(t, observed, arm);
        if (isnan(cost))
            continue;
        t->cost[arm] = cost;
        t->cost_window[arm] = t->window;
        t->plays[arm]++;
        fresh |= 1u << arm;
    }
    return fresh;
}

/* Every pair with a fresh cost plays once; a cost is never played against itself twice. */
static void play_games(struct hak_tuner *t, uint32_t fresh) {
    for (uint32_t a = 0; a < t->elo.arms; a++)
        for (uint32_t b = a + 1; b < t->elo.arms; b++) {
            bool news = (fresh >> a & 1) || (fresh >> b & 1);
            if (news && remembered(t, a) && remembered(t, b))
                hak_elo_play(&t->elo, a, b,
                             hak_elo_judge(t->cost[a], t->cost[b], t->config.draw_band));
        }
}

/* LEARN about sizes that are gone is no evidence: starts over, keeping the time limit running. */
static void forget(struct hak_tuner *t) {
    hak_elo_init(&t->elo, t->elo.arms, t->elo.k_factor);
    for (uint32_t arm = 0; arm < t->elo.arms; arm++)
        t->plays[arm] = 0;
    t->lifecycle.stable = 0;
    t->shifted = 0;
}

/* Adds the window to the baseline, unless it looks different; then waits, then starts over. */
static void learn_sizes(struct hak_tuner *t, const struct hak_signature *sizes) {
    double shift = hak_signature_shift(&t->baseline, sizes);
    if (!(shift >= t->config.lifecycle.shift_l1)) { /* near, or the first sizes of all */
        hak_signature_merge(&t->baseline, sizes);
        t->shifted = 0;
        return;
    }
    if (++t->shifted < t->config.lifecycle.shift_windows)
        return;
    forget(t);
    t->baseline = *sizes;
}

static bool leader_clear(const struct hak_tuner *t) {
    for (uint32_t arm = 0; arm < t->elo.arms; arm++)
        if (t->plays[arm] < t->config.min_plays)
            return false;
    return hak_elo_margin(&t->elo) >= t->config.clear_margin;
}

/* The leader by rating; the incumbent while no game has been played. */
static uint32_t leader(const struct hak_tuner *t) {
    uint32_t best = hak_elo_leader(&t->elo);
    return hak_elo_games(&t->elo, best) > 0 ? best : t->lifecycle.incumbent;
}

struct hak_lifecycle_event hak_tuner_window(struct hak_tuner *t, uint64_t now_ns,
                                            const struct hak_tuner_observation *observed,
                                            const struct hak_signature *sizes) {
    struct hak_lifecycle_window w = {
        .now_ns = now_ns, .shift_l1 = NAN, .incumbent_cost = NAN, .candidate_cost = NAN};
    t->window++;
    if (t->lifecycle.state == HAK_LIFECYCLE_LEARN) {
        play_games(t, remember(t, observed));
        learn_sizes(t, sizes);
        w.leader = leader(t);
        w.leader_clear = leader_clear(t);
    } else if (t->baseline.total == 0) {
        t->baseline = *sizes; /* started FROZEN: the first sizes are what it stands for */
    } else {
        w.shift_l1 = hak_signature_shift(&t->baseline, sizes);
    }
    if (t->lifecycle.state == HAK_LIFECYCLE_CANARY) {
        uint32_t candidate = t->lifecycle.candidate, incumbent = t->lifecycle.incumbent;
        w.incumbent_cost = measured(t, observed, incumbent);
        w.candidate_cost = measured(t, observed, candidate);
        if (!isnan(w.incumbent_cost) && !isnan(w.candidate_cost))
            hak_elo_play(
                &t->elo, candidate, incumbent,
                hak_elo_judge(w.candidate_cost, w.incumbent_cost, t->config.draw_band));
    }
    struct hak_lifecycle_event event = hak_lifecycle_step(&t->lifecycle, &w);
    if (event.cause == HAK_LIFECYCLE_SHIFTED || event.cause == HAK_LIFECYCLE_SHIFTED_AGAIN)
        t->baseline = *sizes;
    return event;
}
