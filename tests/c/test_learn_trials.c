/* lib/learn/trials: ladders of pool settings, walked by paired windows under a made-up clock. */
#include "check.h"
#include "learn/trials.h"

#define SECOND_NS UINT64_C(1000000000)

static const uint32_t defaults[HAK_TRIALS] = {2000, 2000, 0};

static struct hak_trials begin(void) {
    struct hak_trials trials;
    struct hak_trials_config config = hak_trials_config_default();
    hak_trials_init(&trials, &config, defaults);
    return trials;
}

/* A world in which blocks of 13 KiB take up 16 KiB, or 14 KiB when DYN1 has such a class. */
static struct hak_trial_window mid_window(const struct hak_trials *t, struct check_rng *rng) {
    uint32_t dyn1 = hak_trials_value(t, HAK_TRIAL_DYN1);
    uint64_t size = dyn1 == 14336 ? 14336 : 16384;
    return (struct hak_trial_window){.requests = 10000,
                                     .misses = check_rng_between(rng, 0, 20),
                                     .live_blocks = 1000,
                                     .mapped_bytes = 1000 * size};
}

static void it_starts_at_the_values_in_force(void) {
    struct hak_trials t = begin();
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_W_MAX_MID), 2000);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_W_MAX_LARGE), 2000);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_DYN1), 0);
}

static void a_setting_that_changes_nothing_stays(void) {
    struct hak_trials t = begin();
    const struct hak_trial_window same = {1000, 10, 100, 1 << 20};
    for (uint64_t i = 1; i <= 1000; i++)
        hak_trials_window(&t, i * SECOND_NS, &same, &same);
    for (int i = 0; i < HAK_TRIALS; i++)
        CHECK_EQ(t.walk[i].moves, 0);
}

static void too_few_requests_try_nothing(void) {
    struct hak_trials t = begin();
    const struct hak_trial_window idle = {255, 0, 100, 1 << 20};
    for (uint64_t i = 1; i <= 100; i++)
        CHECK(!hak_trials_window(&t, i * SECOND_NS, &idle, &idle));
}

static void a_lower_w_max_that_saves_memory_is_found_and_kept(void) {
    struct hak_trials t = begin();
    for (uint64_t i = 1; i <= 4000; i++) {
        uint32_t w_max = hak_trials_value(&t, HAK_TRIAL_W_MAX_LARGE);
        struct hak_trial_window mid = {1000, 0, 100, 1 << 20};
        struct hak_trial_window large = {1000, 0, 100, (uint64_t)w_max << 10};
        hak_trials_window(&t, i * SECOND_NS, &mid, &large);
    }
    CHECK_EQ(t.config.value[HAK_TRIAL_W_MAX_LARGE][t.walk[HAK_TRIAL_W_MAX_LARGE].current], 1250);
    CHECK_EQ(t.walk[HAK_TRIAL_W_MAX_MID].moves, 0);
}

static void a_worse_rung_is_taken_back_after_its_window(void) {
    struct hak_trials t = begin();
    uint32_t windows_tried = 0;
    for (uint64_t i = 1; i <= 400; i++) {
        uint32_t w_max = hak_trials_value(&t, HAK_TRIAL_W_MAX_MID);
        windows_tried += w_max != 2000;
        struct hak_trial_window mid = {1000, w_max < 2000 ? 900 : 0, 100, (uint64_t)w_max << 10};
        struct hak_trial_window large = {0, 0, 0, 0};
        hak_trials_window(&t, i * SECOND_NS, &mid, &large);
    }
    CHECK(windows_tried > 0);
    CHECK_EQ(t.walk[HAK_TRIAL_W_MAX_MID].moves, 0);
}

static void an_extra_class_that_saves_memory_is_switched_on(void) {
    struct hak_trials t = begin();
    struct check_rng rng = check_rng_seed(5);
    for (uint64_t i = 1; i <= 2000; i++) {
        struct hak_trial_window mid = mid_window(&t, &rng), large = {0, 0, 0, 0};
        hak_trials_window(&t, i * SECOND_NS, &mid, &large);
    }
    CHECK_EQ(t.config.value[HAK_TRIAL_DYN1][t.walk[HAK_TRIAL_DYN1].current], 14336);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(it_starts_at_the_values_in_force);
    RUN(a_setting_that_changes_nothing_stays);
    RUN(too_few_requests_try_nothing);
    RUN(a_lower_w_max_that_saves_memory_is_found_and_kept);
    RUN(a_worse_rung_is_taken_back_after_its_window);
    RUN(an_extra_class_that_saves_memory_is_switched_on);
    return check_report();
}
