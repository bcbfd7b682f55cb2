/* lib/learn/lifecycle: every transition, its cause and its bound, with a clock made of numbers. */
#include "check.h"
#include "learn/lifecycle.h"

#define SECOND_NS UINT64_C(1000000000)

static struct hak_lifecycle_config config;

static struct hak_lifecycle started(enum hak_lifecycle_state state, uint32_t start) {
    struct hak_lifecycle l;
    config = hak_lifecycle_config_default();
    hak_lifecycle_init(&l, &config, 6, start, state, 0);
    return l;
}

static struct hak_lifecycle_event learn(struct hak_lifecycle *l, uint64_t now_ns, uint32_t leader,
                                        bool clear) {
    struct hak_lifecycle_window w = {.now_ns = now_ns, .leader = leader, .leader_clear = clear,
                                     .shift_l1 = NAN, .incumbent_cost = NAN,
                                     .candidate_cost = NAN};
    return hak_lifecycle_step(l, &w);
}

static struct hak_lifecycle_event frozen(struct hak_lifecycle *l, uint64_t now_ns, double shift) {
    struct hak_lifecycle_window w = {.now_ns = now_ns, .shift_l1 = shift, .incumbent_cost = NAN,
                                     .candidate_cost = NAN};
    return hak_lifecycle_step(l, &w);
}

static struct hak_lifecycle_event canary(struct hak_lifecycle *l, uint64_t now_ns,
                                         double incumbent_cost, double candidate_cost) {
    struct hak_lifecycle_window w = {.now_ns = now_ns, .shift_l1 = 0,
                                     .incumbent_cost = incumbent_cost,
                                     .candidate_cost = candidate_cost};
    return hak_lifecycle_step(l, &w);
}

/* A lifecycle frozen on arm 2 whose first canary, for arm 1, has just opened. */
static struct hak_lifecycle in_canary(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, 2);
    frozen(&l, 1, 1.0);
    frozen(&l, 2, 1.0);
    CHECK_EQ(l.state, HAK_LIFECYCLE_CANARY);
    CHECK_EQ(l.candidate, 1);
    return l;
}

static void learn_freezes_on_a_leader_that_was_clear_five_windows_running(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_LEARN, 0);
    for (uint64_t i = 0; i < 4; i++)
        CHECK_EQ(learn(&l, i * SECOND_NS, 3, true).cause, HAK_LIFECYCLE_NOTHING);
    struct hak_lifecycle_event event = learn(&l, 4 * SECOND_NS, 3, true);
    CHECK_EQ(event.cause, HAK_LIFECYCLE_CONVERGED);
    CHECK_EQ(event.from, HAK_LIFECYCLE_LEARN);
    CHECK_EQ(event.to, HAK_LIFECYCLE_FROZEN);
    CHECK_EQ(event.arm, 3);
    CHECK_EQ(l.incumbent, 3);
}

static void a_change_or_doubt_of_the_leader_starts_the_count_again(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_LEARN, 0);
    for (int i = 0; i < 4; i++)
        learn(&l, 1, 3, true);
    learn(&l, 1, 2, true);
    CHECK_EQ(l.stable, 1);
    for (int i = 0; i < 3; i++)
        learn(&l, 1, 2, true);
    learn(&l, 1, 2, false);
    CHECK_EQ(l.stable, 0);
    CHECK_EQ(l.state, HAK_LIFECYCLE_LEARN);
}

static void learn_freezes_at_the_time_limit_without_a_clear_leader(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_LEARN, 0);
    CHECK_EQ(learn(&l, 180 * SECOND_NS - 1, 4, false).cause, HAK_LIFECYCLE_NOTHING);
    struct hak_lifecycle_event event = learn(&l, 180 * SECOND_NS, 4, false);
    CHECK_EQ(event.cause, HAK_LIFECYCLE_TIME_LIMIT);
    CHECK_EQ(l.incumbent, 4);
}

static void frozen_stays_frozen_while_sizes_stay(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, 2);
    for (uint64_t i = 0; i < 100000; i++)
        if (!CHECK_EQ(frozen(&l, i * SECOND_NS, 0.24).cause, HAK_LIFECYCLE_NOTHING))
            return;
    CHECK_EQ(l.incumbent, 2);
}

static void one_odd_window_is_no_shift(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, 2);
    for (uint64_t i = 0; i < 1000; i++)
        CHECK_EQ(frozen(&l, i, i % 2 ? 1.5 : 0.0).cause, HAK_LIFECYCLE_NOTHING);
}

static void a_window_without_sizes_neither_counts_nor_breaks_a_shift(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, 2);
    frozen(&l, 1, 0.5);
    CHECK_EQ(frozen(&l, 2, NAN).cause, HAK_LIFECYCLE_NOTHING);
    CHECK_EQ(frozen(&l, 3, 0.5).cause, HAK_LIFECYCLE_SHIFTED);
}

static void a_shift_opens_a_canary_for_the_nearest_arm(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, 0);
    frozen(&l, 1, 0.25);
    struct hak_lifecycle_event event = frozen(&l, 2, 0.25);
    CHECK_EQ(event.cause, HAK_LIFECYCLE_SHIFTED);
    CHECK_EQ(event.to, HAK_LIFECYCLE_CANARY);
    CHECK_EQ(event.arm, 1);
    CHECK_EQ(l.incumbent, 0);
}

static void a_candidate_better_three_windows_running_is_confirmed(void) {
    struct hak_lifecycle l = in_canary();
    canary(&l, 3, 100, 90);
    canary(&l, 4, 100, 94);
    struct hak_lifecycle_event event = canary(&l, 5, 100, 94);
    CHECK_EQ(event.cause, HAK_LIFECYCLE_CONFIRMED);
    CHECK_EQ(event.arm, 1);
    CHECK_EQ(event.to, HAK_LIFECYCLE_FROZEN);
    CHECK_EQ(l.incumbent, 1);
    CHECK_EQ(l.confirmed, 1);
}

static void a_gain_under_the_limit_breaks_the_run(void) {
    struct hak_lifecycle l = in_canary();
    canary(&l, 3, 100, 90);
    canary(&l, 4, 100, 90);
    canary(&l, 5, 100, 96);
    CHECK_EQ(l.gains, 0);
    CHECK_EQ(l.state, HAK_LIFECYCLE_CANARY);
}

static void a_candidate_worse_three_windows_running_is_rolled_back(void) {
    struct hak_lifecycle l = in_canary();
    canary(&l, 3, 100, 110);
    canary(&l, 4, 100, 110);
    struct hak_lifecycle_event event = canary(&l, 5, 100, 110);
    CHECK_EQ(event.cause, HAK_LIFECYCLE_WORSE);
    CHECK_EQ(event.arm, 1);
    CHECK_EQ(l.incumbent, 2);
    CHECK_EQ(l.candidate, 2);
    CHECK_EQ(l.rolled_back, 1);
}

static void a_much_worse_candidate_is_rolled_back_at_once(void) {
    struct hak_lifecycle l = in_canary();
    CHECK_EQ(canary(&l, 3, 100, 151).cause, HAK_LIFECYCLE_WORSE);
    CHECK_EQ(l.incumbent, 2);
}

static void a_canary_without_a_verdict_is_rolled_back_after_its_limit(void) {
    struct hak_lifecycle l = in_canary();
    for (uint64_t i = 0; i < 11; i++)
        CHECK_EQ(canary(&l, 3 + i, 100, 100).cause, HAK_LIFECYCLE_NOTHING);
    CHECK_EQ(canary(&l, 14, 100, 100).cause, HAK_LIFECYCLE_UNDECIDED);
    CHECK_EQ(l.incumbent, 2);
}

static void a_canary_without_measurements_is_rolled_back_after_its_limit(void) {
    struct hak_lifecycle l = in_canary();
    struct hak_lifecycle_event event = {0};
    for (uint64_t i = 0; i < 12; i++)
        event = canary(&l, 3 + i, NAN, i % 2 ? NAN : 50);
    CHECK_EQ(event.cause, HAK_LIFECYCLE_UNDECIDED);
    CHECK_EQ(l.incumbent, 2);
}

static void a_second_shift_rolls_back_and_starts_the_campaign_over(void) {
    struct hak_lifecycle l = in_canary();
    struct hak_lifecycle_window w = {.now_ns = 3, .shift_l1 = 1, .incumbent_cost = 100,
                                     .candidate_cost = 10};
    hak_lifecycle_step(&l, &w);
    w.now_ns = 4;
    CHECK_EQ(hak_lifecycle_step(&l, &w).cause, HAK_LIFECYCLE_SHIFTED_AGAIN);
    CHECK_EQ(l.incumbent, 2);
    CHECK_EQ(l.pending, 0x3b); /* every arm of six but 2 */
    CHECK_EQ(frozen(&l, 5, 0).cause, HAK_LIFECYCLE_NEXT);
    CHECK_EQ(l.candidate, 1);
}

/* Runs a campaign in which arm i costs cost[i]; the number of windows it took. */
static int campaign(struct hak_lifecycle *l, const double *cost, uint64_t *now_ns) {
    int windows = 0;
    frozen(l, ++*now_ns, 1);
    frozen(l, ++*now_ns, 1);
    while (l->state == HAK_LIFECYCLE_CANARY || l->pending) {
        if (l->state == HAK_LIFECYCLE_CANARY)
            canary(l, ++*now_ns, cost[l->incumbent], cost[l->candidate]);
        else
            frozen(l, ++*now_ns, 0);
        if (!CHECK(++windows <= 5 * (12 + 1)))
            break;
    }
    return windows;
}

static void a_campaign_ends_on_the_best_arm_from_every_incumbent(void) {
    for (uint32_t start = 0; start < 6; start++)
        for (uint32_t best = 0; best < 6; best++) {
            struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, start);
            double cost[6];
            uint64_t now_ns = 0;
            for (uint32_t arm = 0; arm < 6; arm++)
                cost[arm] = arm == best ? 80 : 100; /* flat but for the best: no slope to follow */
            campaign(&l, cost, &now_ns);
            CHECK_EQ(l.incumbent, best);
            CHECK_EQ(l.confirmed, start != best);
            CHECK_EQ(l.confirmed + l.rolled_back, 5);
        }
}

static void a_campaign_that_finds_nothing_better_leaves_the_incumbent(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, 3);
    static const double cost[6] = {140, 130, 110, 100, 99, 200};
    uint64_t now_ns = 0;
    campaign(&l, cost, &now_ns);
    CHECK_EQ(l.incumbent, 3); /* 99 is within the gain that a move must show */
    CHECK_EQ(l.confirmed, 0);
}

static void campaigns_rest_between_each_other(void) {
    struct hak_lifecycle l = started(HAK_LIFECYCLE_FROZEN, 3);
    static const double cost[6] = {200, 200, 200, 100, 200, 200};
    uint64_t now_ns = 0;
    campaign(&l, cost, &now_ns);
    uint64_t end_ns = l.campaign_end_ns;
    for (int i = 1; i < 10; i++)
        CHECK_EQ(frozen(&l, end_ns + (uint64_t)i, 1).cause, HAK_LIFECYCLE_NOTHING);
    CHECK_EQ(frozen(&l, end_ns + config.campaign_rest_ns, 1).cause, HAK_LIFECYCLE_SHIFTED);
}

static void an_only_arm_has_nothing_to_try(void) {
    struct hak_lifecycle l;
    config = hak_lifecycle_config_default();
    hak_lifecycle_init(&l, &config, 1, 0, HAK_LIFECYCLE_FROZEN, 0);
    for (uint64_t i = 0; i < 10; i++)
        CHECK_EQ(frozen(&l, i, 2).cause, HAK_LIFECYCLE_NOTHING);
}

static void arms_and_start_are_cut_to_what_there_is(void) {
    struct hak_lifecycle l;
    config = hak_lifecycle_config_default();
    hak_lifecycle_init(&l, &config, 100, 99, HAK_LIFECYCLE_CANARY, 0);
    CHECK_EQ(l.arms, HAK_LIFECYCLE_ARMS_MAX);
    CHECK_EQ(l.incumbent, HAK_LIFECYCLE_ARMS_MAX - 1);
    CHECK_EQ(l.state, HAK_LIFECYCLE_FROZEN); /* a canary has a campaign: none starts in one */
}

static void no_sequence_of_windows_breaks_the_invariants(void) {
    struct check_rng rng = check_rng_seed(7);
    struct hak_lifecycle l = started(HAK_LIFECYCLE_LEARN, 5);
    for (uint64_t i = 0; i < 200000; i++) {
        struct hak_lifecycle_window w = {
            .now_ns = i * SECOND_NS,
            .leader = (uint32_t)check_rng_between(&rng, 0, 5),
            .leader_clear = check_rng_uniform(&rng) < 0.1,
            .shift_l1 = check_rng_uniform(&rng) < 0.1 ? NAN : 0.5 * check_rng_uniform(&rng),
            .incumbent_cost = check_rng_uniform(&rng) < 0.1 ? NAN : check_rng_uniform(&rng),
            .candidate_cost = check_rng_uniform(&rng) < 0.1 ? NAN : check_rng_uniform(&rng)};
        struct hak_lifecycle before = l;
        struct hak_lifecycle_event event = hak_lifecycle_step(&l, &w);
        bool sound = l.incumbent < 6 && l.candidate < 6 && event.from == before.state &&
                     event.to == l.state && (event.cause != HAK_LIFECYCLE_NOTHING) ==
                     (event.from != event.to) && !(l.pending >> l.incumbent & 1) &&
                     (l.state == HAK_LIFECYCLE_CANARY) == (l.candidate != l.incumbent) &&
                     (l.incumbent == before.incumbent || event.cause == HAK_LIFECYCLE_CONFIRMED ||
                      event.from == HAK_LIFECYCLE_LEARN);
        if (!CHECK(sound))
            return;
    }
    CHECK(l.confirmed > 0 && l.rolled_back > 0);
}

static void states_and_causes_have_names(void) {
    CHECK_TEXT(hak_lifecycle_state_name(HAK_LIFECYCLE_LEARN), "learn");
    CHECK_TEXT(hak_lifecycle_state_name(HAK_LIFECYCLE_CANARY), "canary");
    CHECK_TEXT(hak_lifecycle_state_name((enum hak_lifecycle_state)9), "unknown");
    CHECK_TEXT(hak_lifecycle_cause_name(HAK_LIFECYCLE_CONVERGED), "converged");
    CHECK_TEXT(hak_lifecycle_cause_name(HAK_LIFECYCLE_SHIFTED_AGAIN), "shifted_again");
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(learn_freezes_on_a_leader_that_was_clear_five_windows_running);
    RUN(a_change_or_doubt_of_the_leader_starts_the_count_again);
    RUN(learn_freezes_at_the_time_limit_without_a_clear_leader);
    RUN(frozen_stays_frozen_while_sizes_stay);
    RUN(one_odd_window_is_no_shift);
    RUN(a_window_without_sizes_neither_counts_nor_breaks_a_shift);
    RUN(a_shift_opens_a_canary_for_the_nearest_arm);
    RUN(a_candidate_better_three_windows_running_is_confirmed);
    RUN(a_gain_under_the_limit_breaks_the_run);
    RUN(a_candidate_worse_three_windows_running_is_rolled_back);
    RUN(a_much_worse_candidate_is_rolled_back_at_once);
    RUN(a_canary_without_a_verdict_is_rolled_back_after_its_limit);
    RUN(a_canary_without_measurements_is_rolled_back_after_its_limit);
    RUN(a_second_shift_rolls_back_and_starts_the_campaign_over);
    RUN(a_campaign_ends_on_the_best_arm_from_every_incumbent);
    RUN(a_campaign_that_finds_nothing_better_leaves_the_incumbent);
    RUN(campaigns_rest_between_each_other);
    RUN(an_only_arm_has_nothing_to_try);
    RUN(arms_and_start_are_cut_to_what_there_is);
    RUN(no_sequence_of_windows_breaks_the_invariants);
    RUN(states_and_causes_have_names);
    return check_report();
}
