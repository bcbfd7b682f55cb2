/* lib/learn/trials: ladders of settings, walked by paired windows under a made-up clock. */
#include "check.h"
#include "learn/trials.h"

#define SECOND_NS UINT64_C(1000000000)

static const uint32_t defaults[HAK_TRIALS] = {2000, 2000, 0, 0};
static const struct hak_trial_window nothing;

static struct hak_trials begin(void) {
    struct hak_trials trials;
    struct hak_trials_config config = hak_trials_config_default();
    hak_trials_init(&trials, &config, defaults);
    return trials;
}

static bool end_window(struct hak_trials *t, uint64_t second, struct hak_trial_window mid,
                       struct hak_trial_window large) {
    const struct hak_trials_seen seen = {mid, large, 0, 0};
    return hak_trials_window(t, second * SECOND_NS, &seen);
}

static void it_starts_at_the_values_in_force(void) {
    struct hak_trials t = begin();
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_W_MAX_MID), 2000);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_W_MAX_LARGE), 2000);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_DYN1), 0);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_SLACK), 0);
}

static void a_setting_that_changes_nothing_stays(void) {
    struct hak_trials t = begin();
    const struct hak_trial_window same = {1000, 10, 100, 1 << 20};
    const struct hak_trials_seen seen = {same, same, 1000, 0};
    hak_trials_offer(&t, 10240);
    for (uint64_t i = 1; i <= 1000; i++)
        hak_trials_window(&t, i * SECOND_NS, &seen);
    for (int i = 0; i < HAK_TRIALS; i++)
        CHECK_EQ(t.walk[i].moves, 0);
}

static void too_few_requests_try_nothing(void) {
    struct hak_trials t = begin();
    const struct hak_trial_window idle = {255, 0, 100, 1 << 20};
    const struct hak_trials_seen seen = {idle, idle, 100, 155};
    for (uint64_t i = 1; i <= 100; i++)
        CHECK(!hak_trials_window(&t, i * SECOND_NS, &seen));
}

static void a_lower_w_max_that_saves_memory_is_found_and_kept(void) {
    struct hak_trials t = begin();
    for (uint64_t i = 1; i <= 4000; i++) {
        uint32_t w_max = hak_trials_value(&t, HAK_TRIAL_W_MAX_LARGE);
        struct hak_trial_window mid = {1000, 0, 100, 1 << 20};
        struct hak_trial_window large = {1000, 0, 100, (uint64_t)w_max << 10};
        end_window(&t, i, mid, large);
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
        end_window(&t, i, mid, nothing);
    }
    CHECK(windows_tried > 0);
    CHECK_EQ(t.walk[HAK_TRIAL_W_MAX_MID].moves, 0);
}

/* ---- the extra class ----------------------------------------------------------------- */

/* A world in which blocks of 9 KiB take up 16 KiB, or `with_class` while the class is on. */
static struct hak_trial_window mid_window(const struct hak_trials *t, struct check_rng *rng,
                                          uint64_t with_class) {
    uint64_t size = hak_trials_value(t, HAK_TRIAL_DYN1) != 0 ? with_class : 16384;
    return (struct hak_trial_window){.requests = 10000,
                                     .misses = check_rng_between(rng, 0, 20),
                                     .live_blocks = 1000,
                                     .mapped_bytes = 1000 * size};
}

static void no_extra_class_is_tried_before_a_size_is_offered(void) {
    struct hak_trials t = begin();
    struct check_rng rng = check_rng_seed(5);
    for (uint64_t i = 1; i <= 200; i++) {
        end_window(&t, i, mid_window(&t, &rng, 9216), nothing);
        CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_DYN1), 0);
    }
}

static void an_offered_class_that_saves_memory_is_switched_on(void) {
    struct hak_trials t = begin();
    struct check_rng rng = check_rng_seed(5);
    hak_trials_offer(&t, 9216);
    hak_trials_offer(&t, 12288); /* there is one size in a process */
    for (uint64_t i = 1; i <= 2000; i++)
        end_window(&t, i, mid_window(&t, &rng, 9216), nothing);
    CHECK_EQ(t.config.value[HAK_TRIAL_DYN1][t.walk[HAK_TRIAL_DYN1].current], 9216);
}

static void an_offered_class_that_saves_nothing_is_rolled_back(void) {
    struct hak_trials t = begin();
    struct check_rng rng = check_rng_seed(5);
    int tried = 0;
    hak_trials_offer(&t, 9216);
    for (uint64_t i = 1; i <= 2000; i++) {
        tried += hak_trials_value(&t, HAK_TRIAL_DYN1) == 9216;
        end_window(&t, i, mid_window(&t, &rng, 17000), nothing);
    }
    CHECK(tried > 0);
    CHECK_EQ(t.walk[HAK_TRIAL_DYN1].moves, 0);
}

/* ---- realloc -------------------------------------------------------------------------- */

/* Room to spare saves moves: of 1000 reallocs so many copy under 0, 25 and 50 %. */
static uint32_t slack_after(const uint64_t moves[3], int windows) {
    struct hak_trials t = begin();
    for (int i = 1; i <= windows; i++) {
        uint32_t slack = hak_trials_value(&t, HAK_TRIAL_SLACK);
        int rung = 0;
        while (t.config.value[HAK_TRIAL_SLACK][rung] != slack)
            rung++;
        const struct hak_trials_seen seen = {nothing, nothing, 1000 - moves[rung], moves[rung]};
        hak_trials_window(&t, (uint64_t)i * SECOND_NS, &seen);
    }
    return t.config.value[HAK_TRIAL_SLACK][t.walk[HAK_TRIAL_SLACK].current];
}

static void growing_blocks_get_room_as_long_as_it_saves_more_moves_than_memory(void) {
    static const uint64_t growing[3] = {750, 450, 330}, steady[3] = {100, 90, 80};
    CHECK_EQ(slack_after(growing, 2000), 250);
    CHECK_EQ(slack_after(steady, 2000), 0);
}

static void the_reward_of_realloc_is_by_hand(void) {
    struct hak_trials_config config = hak_trials_config_default();
    const struct hak_trials_seen half = {nothing, nothing, 500, 500};
    const struct hak_trials_seen few = {nothing, nothing, 5, 5};
    CHECK_NEAR(hak_trials_realloc_reward(&config, &half, 0), 0.5, 1e-12);
    CHECK_NEAR(hak_trials_realloc_reward(&config, &half, 500), 0.4, 1e-12);
    CHECK(isnan(hak_trials_realloc_reward(&config, &few, 0)));
}

/* ---- what somebody has set ------------------------------------------------------------ */

static void a_pinned_setting_is_not_walked_and_the_others_are(void) {
    struct hak_trials t = begin();
    hak_trials_place(&t, HAK_TRIAL_W_MAX_LARGE, 1400, true);
    for (uint64_t i = 1; i <= 2000; i++) {
        uint32_t of_mid = hak_trials_value(&t, HAK_TRIAL_W_MAX_MID);
        uint32_t of_large = hak_trials_value(&t, HAK_TRIAL_W_MAX_LARGE);
        CHECK_EQ(of_large, 1400);
        struct hak_trial_window mid = {1000, 0, 100, (uint64_t)of_mid << 10};
        struct hak_trial_window large = {1000, 0, 100, (uint64_t)of_large << 10};
        end_window(&t, i, mid, large);
    }
    CHECK_EQ(t.walk[HAK_TRIAL_W_MAX_LARGE].bandit.plays, 0);
    CHECK_EQ(t.config.value[HAK_TRIAL_W_MAX_MID][t.walk[HAK_TRIAL_W_MAX_MID].current], 1250);
}

static void a_trial_ends_when_its_setting_is_pinned_and_begins_anew_when_let_go(void) {
    struct hak_trials t = begin();
    struct hak_trial_window mid = {1000, 0, 100, 1 << 20};
    end_window(&t, 1, mid, nothing);
    CHECK(t.trying);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_W_MAX_MID), 1600);
    hak_trials_place(&t, HAK_TRIAL_W_MAX_MID, 3000, true);
    CHECK(!t.trying);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_W_MAX_MID), 3000);
    for (uint64_t i = 2; i < 50; i++)
        end_window(&t, i, mid, nothing);
    CHECK_EQ(hak_trials_value(&t, HAK_TRIAL_W_MAX_MID), 3000);
    hak_trials_place(&t, HAK_TRIAL_W_MAX_MID, 2000, false);
    int tried = 0;
    for (uint64_t i = 50; i < 100; i++) {
        end_window(&t, i, mid, nothing);
        tried += hak_trials_value(&t, HAK_TRIAL_W_MAX_MID) != 2000;
    }
    CHECK(tried > 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(it_starts_at_the_values_in_force);
    RUN(a_setting_that_changes_nothing_stays);
    RUN(too_few_requests_try_nothing);
    RUN(a_lower_w_max_that_saves_memory_is_found_and_kept);
    RUN(a_worse_rung_is_taken_back_after_its_window);
    RUN(no_extra_class_is_tried_before_a_size_is_offered);
    RUN(an_offered_class_that_saves_memory_is_switched_on);
    RUN(an_offered_class_that_saves_nothing_is_rolled_back);
    RUN(growing_blocks_get_room_as_long_as_it_saves_more_moves_than_memory);
    RUN(the_reward_of_realloc_is_by_hand);
    RUN(a_pinned_setting_is_not_walked_and_the_others_are);
    RUN(a_trial_ends_when_its_setting_is_pinned_and_begins_anew_when_let_go);
    return check_report();
}
