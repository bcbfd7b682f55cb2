/* lib/learn/cap: steps towards a hit rate, within a budget; soft-cap guidance. */
#include "check.h"
#include "learn/cap.h"

#define KIB UINT64_C(1024)

static struct hak_cap_class class_at(uint32_t cap, uint64_t hits, uint64_t misses,
                                     uint64_t unit_bytes) {
    return (struct hak_cap_class){hits, misses, unit_bytes, cap, 0};
}

static void a_hit_rate_below_target_raises_the_cap_by_one_step(void) {
    struct hak_cap_config mid = hak_cap_config_mid(), large = hak_cap_config_large();
    struct hak_cap_class one = class_at(64, 500, 500, 8 * KIB);
    CHECK_EQ(hak_cap_move(&mid, &one, 1).raised, 1);
    CHECK_EQ(one.cap, 68);
    one = class_at(8, 300, 700, 256 * KIB);
    CHECK_EQ(hak_cap_move(&large, &one, 1).raised, 1);
    CHECK_EQ(one.cap, 9);
}

static void a_hit_rate_above_target_lowers_the_cap_by_one_step(void) {
    struct hak_cap_config mid = hak_cap_config_mid(), large = hak_cap_config_large();
    struct hak_cap_class one = class_at(64, 900, 100, 8 * KIB);
    CHECK_EQ(hak_cap_move(&mid, &one, 1).lowered, 1);
    CHECK_EQ(one.cap, 60);
    one = class_at(8, 900, 100, 256 * KIB);
    hak_cap_move(&large, &one, 1);
    CHECK_EQ(one.cap, 7);
}

static void a_cap_is_not_lowered_below_what_is_in_use(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct hak_cap_class one = class_at(64, 900, 100, 8 * KIB);
    one.in_use = 40;
    for (int i = 0; i < 20; i++)
        hak_cap_move(&mid, &one, 1);
    CHECK_EQ(one.cap, 46); /* an eighth above, and one */
    mid.budget_bytes = 32 * 8 * KIB;
    hak_cap_move(&mid, &one, 1);
    hak_cap_move(&mid, &one, 1);
    CHECK_EQ(one.cap, 38); /* a budget binds all the same */
}

static void a_hit_rate_near_its_target_leaves_the_cap(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    for (uint64_t hits = 625; hits <= 675; hits += 5) {
        struct hak_cap_class one = class_at(64, hits, 1000 - hits, 8 * KIB);
        hak_cap_move(&mid, &one, 1);
        CHECK_EQ(one.cap, 64);
    }
}

static void too_few_samples_leave_the_cap(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct hak_cap_class one = class_at(64, 0, 255, 8 * KIB), idle = class_at(64, 0, 0, 8 * KIB);
    hak_cap_move(&mid, &one, 1);
    hak_cap_move(&mid, &idle, 1);
    CHECK_EQ(one.cap, 64);
    CHECK_EQ(idle.cap, 64);
    CHECK(isnan(hak_cap_hit_rate(&idle)));
}

static void a_class_without_a_cap_is_left_alone(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct hak_cap_class one = class_at(0, 0, 10000, 8 * KIB);
    struct hak_cap_result result = hak_cap_move(&mid, &one, 1);
    CHECK_EQ(one.cap, 0);
    CHECK_EQ(result.raised + result.lowered + result.denied, 0);
    CHECK_EQ(result.held_bytes, 0);
}

static void caps_stay_within_their_range(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct hak_cap_class low = class_at(6, 1000, 0, KIB), high = class_at(4094, 0, 1000, KIB);
    for (int i = 0; i < 5; i++) {
        hak_cap_move(&mid, &low, 1);
        hak_cap_move(&mid, &high, 1);
    }
    CHECK_EQ(low.cap, 4);
    CHECK_EQ(high.cap, 4096);
    mid.cap_min = 0; /* a learner must never lower a cap to "none" */
    low = class_at(2, 1000, 0, KIB);
    for (int i = 0; i < 5; i++)
        hak_cap_move(&mid, &low, 1);
    CHECK_EQ(low.cap, 1);
}

static void a_short_budget_serves_the_class_with_the_most_misses(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct hak_cap_class classes[2] = {class_at(10, 0, 300, KIB), class_at(10, 0, 9000, KIB)};
    mid.budget_bytes = 24 * KIB; /* room for one step of 4 */
    mid.cap_min = 10;
    struct hak_cap_result result = hak_cap_move(&mid, classes, 2);
    CHECK_EQ(classes[0].cap, 10);
    CHECK_EQ(classes[1].cap, 14);
    CHECK_EQ(result.denied, 1);
    CHECK_EQ(result.held_bytes, 24 * KIB);
}

static void an_idle_class_gives_up_a_step_for_one_in_need(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct hak_cap_class classes[2] = {class_at(50, 0, 0, KIB), class_at(50, 0, 9000, KIB)};
    mid.budget_bytes = 100 * KIB;
    struct hak_cap_result result = hak_cap_move(&mid, classes, 2);
    CHECK_EQ(classes[0].cap, 46);
    CHECK_EQ(classes[1].cap, 54);
    CHECK_EQ(result.raised, 1);
    CHECK_EQ(result.lowered, 1);
}

static void a_budget_that_was_cut_is_reached_step_by_step(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct hak_cap_class classes[3] = {class_at(100, 0, 500, KIB), class_at(100, 0, 9000, KIB),
                                       class_at(100, 0, 0, KIB)};
    uint64_t last = 300 * KIB;
    mid.budget_bytes = 150 * KIB;
    for (int i = 0; i < 40; i++) {
        struct hak_cap_result result = hak_cap_move(&mid, classes, 3);
        CHECK(result.held_bytes <= last || result.held_bytes <= mid.budget_bytes);
        last = result.held_bytes;
    }
    CHECK(last <= mid.budget_bytes);
    CHECK(classes[1].cap > classes[0].cap); /* the one in need kept the most */
}

static void no_traffic_ever_leads_over_the_budget(void) {
    struct hak_cap_config mid = hak_cap_config_mid();
    struct check_rng rng = check_rng_seed(1);
    struct hak_cap_class classes[6];
    mid.budget_bytes = 1024 * KIB;
    for (uint32_t i = 0; i < 6; i++)
        classes[i] = class_at(8, 0, 0, 2 * KIB << i / 2);
    for (int window = 0; window < 20000; window++) {
        uint64_t sum = 0;
        for (int i = 0; i < 6; i++) {
            classes[i].hits = check_rng_between(&rng, 0, 2000);
            classes[i].misses = check_rng_between(&rng, 0, 2000);
        }
        struct hak_cap_result result = hak_cap_move(&mid, classes, 6);
        for (int i = 0; i < 6; i++) {
            sum += classes[i].cap * classes[i].unit_bytes;
            CHECK(classes[i].cap >= 4 && classes[i].cap <= 4096);
        }
        CHECK_EQ(sum, result.held_bytes);
        if (!CHECK(sum <= mid.budget_bytes))
            return;
    }
}

/* A pool whose hit rate rises with its cap and saturates at its working set. */
static void serve(struct hak_cap_class *one, double working_set) {
    double rate = one->cap / working_set;
    one->hits = (uint64_t)(10000 * (rate < 1 ? rate : 1));
    one->misses = 10000 - one->hits;
}

static void caps_settle_at_the_target_hit_rates_from_below_and_above(void) {
    struct hak_cap_config mid = hak_cap_config_mid(), large = hak_cap_config_large();
    static const uint32_t start[2] = {4, 250};
    for (int i = 0; i < 2; i++) {
        struct hak_cap_class m = class_at(start[i], 0, 0, 8 * KIB);
        struct hak_cap_class l = class_at(start[i], 0, 0, 256 * KIB);
        for (int window = 0; window < 250; window++) {
            serve(&m, 200);
            serve(&l, 100);
            hak_cap_move(&mid, &m, 1);
            hak_cap_move(&large, &l, 1);
        }
        serve(&m, 200);
        serve(&l, 100);
        CHECK_NEAR(hak_cap_hit_rate(&m), 0.65, 0.03);
        CHECK_NEAR(hak_cap_hit_rate(&l), 0.55, 0.03);
    }
}

static void the_bundle_is_one_over_the_cap_and_grows_with_the_deficit(void) {
    CHECK_EQ(hak_cap_bundle(100, 100), 1);
    CHECK_EQ(hak_cap_bundle(200, 100), 1);
    CHECK_EQ(hak_cap_bundle(99, 100), 1);
    CHECK_EQ(hak_cap_bundle(98, 100), 2);
    CHECK_EQ(hak_cap_bundle(97, 100), 3);
    CHECK_EQ(hak_cap_bundle(0, 100), 4);
    CHECK_EQ(hak_cap_bundle(3, 4), 2); /* a quarter of the cap is missing */
    CHECK_EQ(hak_cap_bundle(0, 1), 2);
    CHECK_EQ(hak_cap_bundle(12345, 0), 4);
    CHECK_EQ(hak_cap_bundle(0, UINT32_MAX), 4);
}

static void neighbours_are_probed_from_the_cap_on(void) {
    CHECK_EQ(hak_cap_neighbours(99, 100), 0);
    CHECK_EQ(hak_cap_neighbours(100, 100), 1);
    CHECK_EQ(hak_cap_neighbours(124, 100), 1);
    CHECK_EQ(hak_cap_neighbours(125, 100), 2);
    CHECK_EQ(hak_cap_neighbours(1, 1), 1);
    CHECK_EQ(hak_cap_neighbours(2, 1), 2);
    CHECK_EQ(hak_cap_neighbours(500, 0), 0);
    CHECK_EQ(hak_cap_neighbours(UINT32_MAX, 1), 2);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_hit_rate_below_target_raises_the_cap_by_one_step);
    RUN(a_hit_rate_above_target_lowers_the_cap_by_one_step);
    RUN(a_cap_is_not_lowered_below_what_is_in_use);
    RUN(a_hit_rate_near_its_target_leaves_the_cap);
    RUN(too_few_samples_leave_the_cap);
    RUN(a_class_without_a_cap_is_left_alone);
    RUN(caps_stay_within_their_range);
    RUN(a_short_budget_serves_the_class_with_the_most_misses);
    RUN(an_idle_class_gives_up_a_step_for_one_in_need);
    RUN(a_budget_that_was_cut_is_reached_step_by_step);
    RUN(no_traffic_ever_leads_over_the_budget);
    RUN(caps_settle_at_the_target_hit_rates_from_below_and_above);
    RUN(the_bundle_is_one_over_the_cap_and_grows_with_the_deficit);
    RUN(neighbours_are_probed_from_the_cap_on);
    return check_report();
}
