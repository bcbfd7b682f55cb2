/* One window of learning: see learner.h. */
#include "learner.h"

#include "fmath.h"

#define TAIL 0.99

struct hak_learner_config hak_learner_config_default(void) {
    struct hak_learner_config config = {
        .tuner = hak_tuner_config_default(),
        .mid = hak_cap_config_mid(),
        .large = hak_cap_config_large(),
        .ace = hak_ace_controller_config_default(),
        .ace_windows = 5,
        .deals = true,
        .moves_fronts = true,
    };
    /* A p99 of fewer values than that is hardly more than their maximum. */
    config.tuner.canary_min_samples = 100;
    /* p99 of a window scatters more than a mean: nearer ones are a draw. */
    config.tuner.draw_band = 0.05;
    return config;
}

static void forget(struct hak_learner *l, uint32_t arm) {
    hak_p2_init(&l->p99[arm], TAIL);
    hak_p2_init(&l->median[arm], 0.5);
}

static void forget_all(struct hak_learner *l) {
    for (uint32_t arm = 0; arm < HAK_LEARNER_ARMS; arm++)
        forget(l, arm);
}

void hak_learner_init(struct hak_learner *l, const struct hak_learner_config *config,
                      uint32_t start, enum hak_lifecycle_state state, uint32_t tiny_classes,
                      const uint32_t *start_slots, uint64_t now_ns) {
    *l = (struct hak_learner){.config = *config};
    hak_tuner_init(&l->tuner, &config->tuner, HAK_LEARNER_ARMS, start, state, now_ns);
    hak_ace_controller_init(&l->ace, &config->ace, tiny_classes, start_slots);
    forget_all(l);
}

uint32_t hak_learner_arm_of(uint64_t threshold_bytes) {
    uint32_t arm = 0;
    while (arm + 1 < HAK_LEARNER_ARMS && hak_tuner_threshold_bytes(arm) < threshold_bytes)
        arm++;
    return arm;
}

void hak_learner_sample(struct hak_learner *l, uint32_t arm, uint64_t ns) {
    if (arm >= HAK_LEARNER_ARMS)
        return;
    hak_p2_add(&l->p99[arm], (double)ns + 1); /* a cost is above 0 */
    hak_p2_add(&l->median[arm], (double)ns + 1);
    l->samples++;
}

/* An arm with samples too few for this window keeps them for the next. */
static bool enough(const struct hak_learner *l, uint32_t arm) {
    const struct hak_lifecycle *life = &l->tuner.lifecycle;
    bool canary = life->state == HAK_LIFECYCLE_CANARY && arm == life->candidate;
    uint64_t wanted =
        canary ? l->config.tuner.canary_min_samples : l->config.tuner.min_samples;
    return l->p99[arm].count >= wanted;
}

static void observe(struct hak_learner *l, struct hak_tuner_observation *observed) {
    for (uint32_t arm = 0; arm < HAK_LEARNER_ARMS; arm++) {
        observed[arm] = (struct hak_tuner_observation){0, NAN};
        if (!enough(l, arm))
            continue;
        observed[arm].samples = l->p99[arm].count;
        double p99 = hak_p2_value(&l->p99[arm]);
        observed[arm].cost = hak_fmath_sqrt(p99 * hak_p2_value(&l->median[arm]));
        l->p99_ns[arm] = (uint64_t)p99;
        forget(l, arm);
    }
}

struct hak_lifecycle_event hak_learner_window(struct hak_learner *l, uint64_t now_ns,
                                              const struct hak_signature *sizes) {
    struct hak_tuner_observation observed[HAK_TUNER_ARMS_MAX] = {{0, 0}};
    l->windows++;
    observe(l, observed);
    struct hak_lifecycle_event event = hak_tuner_window(&l->tuner, now_ns, observed, sizes);
    if (event.cause != HAK_LIFECYCLE_NOTHING)
        forget_all(l);
    return event;
}

uint32_t hak_learner_fronts(struct hak_learner *l, uint64_t now_ns,
                            const struct hak_ace_class_window *window, uint32_t threads) {
    if (!l->config.moves_fronts)
        return 0;
    uint32_t changed = hak_ace_controller_fast(&l->ace, window, threads);
    for (uint32_t c = 0; c < l->ace.classes; c++) {
        l->slow[c].hits += window[c].hits;
        l->slow[c].refills += window[c].refills;
        l->slow[c].drains += window[c].drains;
        l->slow[c].live_bytes = window[c].live_bytes;
        l->slow[c].mapped_bytes = window[c].mapped_bytes;
    }
    if (++l->slow_turn < l->config.ace_windows)
        return changed;
    double reward = hak_ace_controller_reward(&l->config.ace, l->slow, l->ace.classes);
    changed += hak_ace_controller_slow(&l->ace, now_ns, reward);
    l->slow_turn = 0;
    for (uint32_t c = 0; c < l->ace.classes; c++)
        l->slow[c] = (struct hak_ace_class_window){0};
    return changed;
}

void hak_learner_deal(const struct hak_learner *l, uint32_t upto[HAK_LEARNER_ARMS]) {
    double weight[HAK_TUNER_ARMS_MAX], sum = 0;
    bool deals = l->config.deals && l->tuner.lifecycle.state != HAK_LIFECYCLE_FROZEN;
    hak_tuner_weights(&l->tuner, weight);
    for (uint32_t arm = 0; arm < HAK_LEARNER_ARMS; arm++) {
        sum += weight[arm];
        upto[arm] = deals ? (uint32_t)(sum * HAK_LEARNER_DEAL_ALL + 0.5) : 0;
    }
    if (deals) /* sums to 1 but for rounding */
        upto[HAK_LEARNER_ARMS - 1] = HAK_LEARNER_DEAL_ALL;
}

uint32_t hak_learner_likeliest(const struct hak_learner *l) {
    double weight[HAK_TUNER_ARMS_MAX];
    uint32_t best = 0;
    hak_tuner_weights(&l->tuner, weight);
    for (uint32_t arm = 1; arm < HAK_LEARNER_ARMS; arm++)
        if (weight[arm] > weight[best])
            best = arm;
    return best;
}
