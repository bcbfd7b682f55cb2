/*
 * lib/learn/learner: windows of a world with a known best threshold, a seeded chance and a clock
 * made of numbers. An operation that is served the wrong way takes three times as long.
 */
#include "check.h"
#include "learn/learner.h"

#define SECOND_NS UINT64_C(1000000000)
#define ARMS HAK_LEARNER_ARMS
#define OPERATIONS 4000

struct world {
    uint32_t lowest, octaves; /* sizes fall evenly on so many octaves, from 64 KiB << lowest up */
    uint32_t best;
};

struct run {
    struct hak_learner learner;
    struct check_rng rng;
    uint64_t now_ns;
};

static struct run begin(uint32_t start, enum hak_lifecycle_state state, uint64_t seed) {
    struct run run = {.rng = check_rng_seed(seed)};
    struct hak_learner_config config = hak_learner_config_default();
    static const uint32_t slots[4] = {128, 128, 128, 128};
    hak_learner_init(&run.learner, &config, start, state, 4, slots, 0);
    return run;
}

static uint32_t arm_of_draw(struct run *run, const uint32_t *upto) {
    uint64_t at = check_rng_between(&run->rng, 0, HAK_LEARNER_DEAL_ALL - 1);
    uint32_t arm = 0;
    while (arm + 1 < ARMS && at >= upto[arm])
        arm++;
    return arm;
}

static struct hak_lifecycle_event window(struct run *run, const struct world *world,
                                         int operations) {
    uint32_t upto[ARMS];
    struct hak_signature sizes;
    hak_signature_clear(&sizes);
    hak_learner_deal(&run->learner, upto);
    for (int i = 0; i < operations; i++) {
        uint32_t octave =
            world->lowest + (uint32_t)check_rng_between(&run->rng, 0, world->octaves - 1);
        uint64_t size = hak_tuner_threshold_bytes(octave);
        hak_signature_add(&sizes, size, 1);
        if (upto[ARMS - 1] == 0) /* nothing is dealt, nothing is measured */
            continue;
        uint32_t arm = arm_of_draw(run, upto);
        bool mapped = size >= hak_tuner_threshold_bytes(arm);
        bool wants = size >= hak_tuner_threshold_bytes(world->best);
        uint64_t ns = (mapped == wants ? 1000 : 3000) + check_rng_between(&run->rng, 0, 300);
        hak_learner_sample(&run->learner, arm, ns);
    }
    run->now_ns += SECOND_NS;
    return hak_learner_window(&run->learner, run->now_ns, &sizes);
}

static enum hak_lifecycle_state state_of(const struct run *run) {
    return run->learner.tuner.lifecycle.state;
}

static uint32_t in_force(const struct run *run) {
    return run->learner.tuner.lifecycle.incumbent;
}

static int windows_to_freeze(struct run *run, const struct world *world, int most) {
    int count = 0;
    while (state_of(run) != HAK_LIFECYCLE_FROZEN && count < most) {
        window(run, world, OPERATIONS);
        count++;
    }
    return count;
}

static void it_converges_on_the_best_threshold_from_every_arm(void) {
    for (uint32_t start = 0; start < ARMS; start++)
        for (uint32_t best = 1; best < ARMS - 1; best++) {
            struct world world = {0, ARMS, best};
            struct run run = begin(start, HAK_LIFECYCLE_LEARN, 17 * start + best);
            CHECK_BETWEEN(windows_to_freeze(&run, &world, 200), 3, 60);
            CHECK_EQ(state_of(&run), HAK_LIFECYCLE_FROZEN);
            CHECK_EQ(in_force(&run), best);
        }
}

static void frozen_deals_nothing_and_measures_nothing(void) {
    struct world world = {0, ARMS, 3};
    struct run run = begin(2, HAK_LIFECYCLE_FROZEN, 1);
    uint32_t upto[ARMS];
    for (int i = 0; i < 50; i++)
        window(&run, &world, OPERATIONS);
    hak_learner_deal(&run.learner, upto);
    for (uint32_t arm = 0; arm < ARMS; arm++)
        CHECK_EQ(upto[arm], 0);
    CHECK_EQ(run.learner.samples, 0);
    CHECK_EQ(in_force(&run), 2);
}

static void a_shift_opens_canaries_and_the_better_arm_is_confirmed(void) {
    struct world first = {0, 3, 1}, second = {1, 5, 4};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct run run = begin(0, HAK_LIFECYCLE_LEARN, seed);
        windows_to_freeze(&run, &first, 200);
        CHECK_EQ(in_force(&run), 1);
        int canaries = 0;
        for (int i = 0; i < 400; i++)
            canaries += window(&run, &second, OPERATIONS).to == HAK_LIFECYCLE_CANARY;
        CHECK(canaries > 0);
        CHECK(run.learner.tuner.lifecycle.confirmed >= 1);
        CHECK_EQ(in_force(&run), 4);
        CHECK_EQ(state_of(&run), HAK_LIFECYCLE_FROZEN);
    }
}

static void a_shift_that_changes_nothing_is_rolled_back(void) {
    struct world first = {0, 3, 2}, second = {0, ARMS, 2};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct run run = begin(2, HAK_LIFECYCLE_FROZEN, seed);
        for (int i = 0; i < 40; i++)
            window(&run, &first, OPERATIONS);
        for (int i = 0; i < 400; i++)
            window(&run, &second, OPERATIONS);
        CHECK(run.learner.tuner.lifecycle.rolled_back >= 1);
        CHECK_EQ(run.learner.tuner.lifecycle.confirmed, 0);
        CHECK_EQ(in_force(&run), 2);
    }
}

static void a_canary_gets_its_share_and_no_more(void) {
    struct world first = {0, 3, 1}, second = {1, 5, 4};
    struct run run = begin(1, HAK_LIFECYCLE_FROZEN, 3);
    for (int i = 0; i < 40; i++)
        window(&run, &first, OPERATIONS);
    for (int i = 0; i < 40 && state_of(&run) != HAK_LIFECYCLE_CANARY; i++)
        window(&run, &second, OPERATIONS);
    CHECK_EQ(state_of(&run), HAK_LIFECYCLE_CANARY);
    uint32_t upto[ARMS], candidate = run.learner.tuner.lifecycle.candidate;
    hak_learner_deal(&run.learner, upto);
    uint32_t share = upto[candidate] - (candidate > 0 ? upto[candidate - 1] : 0);
    CHECK_NEAR(share / (double)HAK_LEARNER_DEAL_ALL, 0.05, 0.001);
    CHECK_EQ(upto[ARMS - 1], HAK_LEARNER_DEAL_ALL);
}

static void few_operations_are_kept_until_they_are_enough(void) {
    struct world world = {0, ARMS, 3};
    struct run run = begin(5, HAK_LIFECYCLE_LEARN, 9);
    window(&run, &world, 200); /* 200 of the first arm: less than 256 */
    CHECK_EQ(run.learner.p99_ns[5], 0);
    window(&run, &world, 200);
    CHECK_BETWEEN(run.learner.p99_ns[5], 1000, 3400);
}

static void learning_ends_at_its_time_limit_without_any_operation(void) {
    struct world world = {0, ARMS, 3};
    struct run run = begin(4, HAK_LIFECYCLE_LEARN, 9);
    for (int i = 0; i < 179; i++)
        window(&run, &world, 0);
    CHECK_EQ(state_of(&run), HAK_LIFECYCLE_LEARN);
    struct hak_lifecycle_event event = window(&run, &world, 0);
    CHECK_EQ(event.cause, HAK_LIFECYCLE_TIME_LIMIT);
    CHECK_EQ(in_force(&run), 4);
}

static void a_threshold_belongs_to_the_arm_at_or_above_it(void) {
    CHECK_EQ(hak_learner_arm_of(65536), 0);
    CHECK_EQ(hak_learner_arm_of(65537), 1);
    CHECK_EQ(hak_learner_arm_of(524288), 3);
    CHECK_EQ(hak_learner_arm_of(2097152), 5);
    CHECK_EQ(hak_learner_arm_of(UINT64_MAX), 5);
    CHECK_EQ(hak_learner_arm_of(0), 0);
}

static void fronts_move_only_when_the_controller_is_on(void) {
    struct run run = begin(4, HAK_LIFECYCLE_FROZEN, 9);
    struct hak_ace_class_window thrashing[4];
    for (int c = 0; c < 4; c++)
        thrashing[c] = (struct hak_ace_class_window){.hits = 10000,
                                                     .refills = 1000,
                                                     .drains = 1000,
                                                     .live_bytes = 1 << 20,
                                                     .mapped_bytes = 1 << 20,
                                                     .block_bytes = 64};
    uint32_t start = run.learner.ace.capacity_slots[0];
    run.learner.config.moves_fronts = false;
    CHECK_EQ(hak_learner_fronts(&run.learner, SECOND_NS, thrashing, 1), 0);
    CHECK_EQ(run.learner.ace.capacity_slots[0], start);
    run.learner.config.moves_fronts = true;
    uint32_t moved = 0;
    for (uint64_t i = 1; i <= 600; i++)
        moved += hak_learner_fronts(&run.learner, i * SECOND_NS, thrashing, 1);
    CHECK(moved > 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(it_converges_on_the_best_threshold_from_every_arm);
    RUN(frozen_deals_nothing_and_measures_nothing);
    RUN(a_shift_opens_canaries_and_the_better_arm_is_confirmed);
    RUN(a_shift_that_changes_nothing_is_rolled_back);
    RUN(a_canary_gets_its_share_and_no_more);
    RUN(few_operations_are_kept_until_they_are_enough);
    RUN(learning_ends_at_its_time_limit_without_any_operation);
    RUN(a_threshold_belongs_to_the_arm_at_or_above_it);
    RUN(fronts_move_only_when_the_controller_is_on);
    return check_report();
}
