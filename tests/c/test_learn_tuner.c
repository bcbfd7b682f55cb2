/*
 * lib/learn/tuner in a world with a known best threshold and a clock made of numbers.
 *
 * The world: sizes fall on octaves from 64 KiB up. Those below the world's edge are reused soon,
 * so a pool serves them best; the others are not, and a mapping does. A size served the wrong
 * way takes three times as long. So the arm whose threshold is the edge is the best, and it is
 * the sizes that say so. Times scatter lognormally; the cost of an arm is the p99 that P2
 * estimates.
 */
#include "check.h"
#include "learn/fmath.h"
#include "learn/p2.h"
#include "learn/tuner.h"

#define SECOND_NS UINT64_C(1000000000)
#define ARMS HAK_TUNER_THRESHOLD_ARMS
#define OPERATIONS 4000

struct world {
    double share[ARMS]; /* of operations whose size is in octave i, 64 KiB << i and up */
    uint32_t best;      /* the arm at the edge */
};

/* How the caller deals out arms: one to each operation, or one to a whole window. */
enum dealing { BY_OPERATION, BY_WINDOW };

struct run {
    struct hak_tuner tuner;
    struct check_rng rng;
    uint64_t now_ns;
    uint32_t windows;
    uint64_t dealt[ARMS]; /* operations given to each arm in the last window */
};

static const struct world low_sizes = {{.26, .26, .25, .08, .08, .07}, 1};
static const struct world high_sizes = {{.08, .08, .08, .25, .25, .26}, 4};

static struct world even_sizes(uint32_t best) {
    return (struct world){{1 / 6.0, 1 / 6.0, 1 / 6.0, 1 / 6.0, 1 / 6.0, 1 / 6.0}, best};
}

/* exp of a normal variable, by the polar method; sigma 0.3. */
static double scatter(struct check_rng *rng) {
    for (;;) {
        double u = 2 * check_rng_uniform(rng) - 1, v = 2 * check_rng_uniform(rng) - 1;
        double s = u * u + v * v;
        if (s > 0 && s < 1)
            return hak_fmath_exp(0.3 * u * hak_fmath_sqrt(-2 * hak_fmath_log(s) / s));
    }
}

static double operation_ns(struct check_rng *rng, const struct world *world, uint64_t size_bytes,
                           uint32_t arm) {
    bool mapped = size_bytes >= hak_tuner_threshold_bytes(arm);
    bool wants_map = size_bytes >= hak_tuner_threshold_bytes(world->best);
    return 1000 * (mapped == wants_map ? 1 : 3) * scatter(rng);
}

static uint64_t draw_size(struct check_rng *rng, const struct world *world) {
    uint64_t octave = hak_tuner_threshold_bytes(
        hak_elo_draw(world->share, ARMS, check_rng_uniform(rng)));
    return octave + check_rng_between(rng, 0, octave - 1);
}

static struct hak_lifecycle_event one_window(struct run *run, const struct world *world,
                                             enum dealing dealing) {
    struct hak_p2 p99[ARMS];
    struct hak_tuner_observation observed[ARMS] = {{0}};
    struct hak_signature sizes;
    hak_signature_clear(&sizes);
    uint32_t window_arm = hak_tuner_select(&run->tuner, check_rng_uniform(&run->rng));
    /* A canary's share is a share of operations, however a caller deals in LEARN. */
    bool alone = dealing == BY_WINDOW && run->tuner.lifecycle.state == HAK_LIFECYCLE_LEARN;
    for (uint32_t arm = 0; arm < ARMS; arm++)
        hak_p2_init(&p99[arm], 0.99);
    for (int i = 0; i < OPERATIONS; i++) {
        uint64_t size_bytes = draw_size(&run->rng, world);
        double uniform = check_rng_uniform(&run->rng);
        uint32_t arm = alone ? window_arm : hak_tuner_select(&run->tuner, uniform);
        hak_p2_add(&p99[arm], operation_ns(&run->rng, world, size_bytes, arm));
        hak_signature_add(&sizes, size_bytes, 1);
    }
    for (uint32_t arm = 0; arm < ARMS; arm++) {
        observed[arm].samples = run->dealt[arm] = p99[arm].count;
        observed[arm].cost = hak_p2_value(&p99[arm]);
    }
    run->now_ns += SECOND_NS;
    run->windows++;
    return hak_tuner_window(&run->tuner, run->now_ns, observed, &sizes);
}

static struct run start_run(uint32_t start, enum hak_lifecycle_state state, uint64_t seed) {
    struct run run = {.rng = check_rng_seed(seed)};
    struct hak_tuner_config config = hak_tuner_config_default();
    hak_tuner_init(&run.tuner, &config, ARMS, start, state, 0);
    return run;
}

/* Runs until the state is left; the event that left it. */
static struct hak_lifecycle_event leave(struct run *run, const struct world *world,
                                        enum dealing dealing, uint32_t most_windows) {
    struct hak_lifecycle_event event = {.cause = HAK_LIFECYCLE_NOTHING};
    for (uint32_t i = 0; i < most_windows && event.cause == HAK_LIFECYCLE_NOTHING; i++)
        event = one_window(run, world, dealing);
    return event;
}

/* Runs a campaign, which has just opened, to its end; false if it takes longer than its bound. */
static bool finish_campaign(struct run *run, const struct world *world) {
    const struct hak_lifecycle *l = &run->tuner.lifecycle;
    for (uint32_t i = 0; i < (ARMS - 1) * (l->config.canary_windows_max + 1); i++) {
        if (l->state == HAK_LIFECYCLE_FROZEN && !l->pending)
            return true;
        one_window(run, world, BY_OPERATION);
    }
    return l->state == HAK_LIFECYCLE_FROZEN && !l->pending;
}

static void converges_from_every_arm_to_every_arm(enum dealing dealing, uint32_t most_windows) {
    for (uint32_t start = 0; start < ARMS; start++)
        for (uint32_t best = 0; best < ARMS; best++) {
            struct world world = even_sizes(best);
            struct run run = start_run(start, HAK_LIFECYCLE_LEARN, 100 + 10 * start + best);
            struct hak_lifecycle_event event = leave(&run, &world, dealing, most_windows);
            CHECK_EQ(event.cause, HAK_LIFECYCLE_CONVERGED);
            CHECK_EQ(event.arm, best);
        }
}

static void learn_converges_to_the_best_threshold_from_every_arm_when_operations_are_dealt(void) {
    converges_from_every_arm_to_every_arm(BY_OPERATION, 20);
}

static void learn_converges_to_the_best_threshold_from_every_arm_when_windows_are_dealt(void) {
    converges_from_every_arm_to_every_arm(BY_WINDOW, 60);
}

/* Sum of twelve uniform variables less 6: mean 0, deviation 1. */
static double roughly_normal(struct check_rng *rng) {
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += check_rng_uniform(rng);
    return sum;
}

/* One window in which every arm that has a fair share is measured: 10 % a rung, scatter 10 %. */
static struct hak_lifecycle_event noisy_window(struct run *run, uint32_t best) {
    struct hak_tuner_observation observed[ARMS] = {{0}};
    struct hak_signature sizes;
    double weight[HAK_TUNER_ARMS_MAX];
    hak_signature_clear(&sizes);
    hak_tuner_weights(&run->tuner, weight);
    for (uint32_t arm = 0; arm < ARMS; arm++) {
        double cost = 1 + 0.10 * roughly_normal(&run->rng);
        for (uint32_t i = arm < best ? arm : best; i < (arm < best ? best : arm); i++)
            cost *= 1.10;
        observed[arm] = (struct hak_tuner_observation){(uint64_t)(weight[arm] * OPERATIONS), cost};
    }
    run->now_ns += SECOND_NS;
    return hak_tuner_window(&run->tuner, run->now_ns, observed, &sizes);
}

static void learn_finds_the_best_of_rungs_no_further_apart_than_their_scatter(void) {
    int right = 0, runs = 0;
    for (uint64_t seed = 0; seed < 10; seed++)
        for (uint32_t start = 0; start < ARMS; start++)
            for (uint32_t best = 0; best < ARMS; best++, runs++) {
                struct run run =
                    start_run(start, HAK_LIFECYCLE_LEARN, 1000 * seed + 6 * start + best);
                struct hak_lifecycle_event event = {0};
                for (int i = 0; i < 180 && event.cause == HAK_LIFECYCLE_NOTHING; i++)
                    event = noisy_window(&run, best);
                right += event.cause == HAK_LIFECYCLE_CONVERGED && event.arm == best;
            }
    CHECK_BETWEEN((double)right / runs, 0.97, 1);
}

static void frozen_gives_every_operation_to_the_incumbent(void) {
    struct world world = even_sizes(2);
    struct run run = start_run(4, HAK_LIFECYCLE_FROZEN, 1);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(one_window(&run, &world, BY_OPERATION).cause, HAK_LIFECYCLE_NOTHING);
    CHECK_EQ(run.dealt[4], OPERATIONS);
}

static void a_steady_workload_never_leaves_frozen(void) {
    struct world world = even_sizes(3);
    struct run run = start_run(0, HAK_LIFECYCLE_LEARN, 2);
    leave(&run, &world, BY_OPERATION, 60);
    CHECK_EQ(leave(&run, &world, BY_OPERATION, 500).cause, HAK_LIFECYCLE_NOTHING);
    CHECK_EQ(run.tuner.lifecycle.incumbent, 3);
}

static void a_canary_gets_five_percent_of_the_operations(void) {
    struct run run = start_run(1, HAK_LIFECYCLE_FROZEN, 3);
    one_window(&run, &low_sizes, BY_OPERATION);
    CHECK_EQ(leave(&run, &high_sizes, BY_OPERATION, 2).cause, HAK_LIFECYCLE_SHIFTED);
    uint32_t candidate = run.tuner.lifecycle.candidate;
    one_window(&run, &high_sizes, BY_OPERATION);
    CHECK_BETWEEN(run.dealt[candidate], 145, 255); /* 200, give or take four deviations */
    CHECK_EQ(run.dealt[1] + run.dealt[candidate], OPERATIONS);
}

static void a_shift_confirms_the_new_best_threshold(void) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct run run = start_run(0, HAK_LIFECYCLE_LEARN, seed);
        CHECK_EQ(leave(&run, &low_sizes, BY_OPERATION, 60).arm, low_sizes.best);
        CHECK_EQ(leave(&run, &high_sizes, BY_OPERATION, 3).cause, HAK_LIFECYCLE_SHIFTED);
        CHECK(finish_campaign(&run, &high_sizes));
        CHECK_EQ(run.tuner.lifecycle.incumbent, high_sizes.best);
        CHECK(run.tuner.lifecycle.confirmed >= 1);
        CHECK_EQ(leave(&run, &high_sizes, BY_OPERATION, 200).cause, HAK_LIFECYCLE_NOTHING);
    }
}

static void a_shift_that_leaves_the_best_threshold_rolls_every_candidate_back(void) {
    struct world before = low_sizes, after = high_sizes;
    before.best = after.best = 3;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct run run = start_run(5, HAK_LIFECYCLE_LEARN, seed);
        CHECK_EQ(leave(&run, &before, BY_OPERATION, 60).arm, 3);
        CHECK_EQ(leave(&run, &after, BY_OPERATION, 3).cause, HAK_LIFECYCLE_SHIFTED);
        CHECK(finish_campaign(&run, &after));
        CHECK_EQ(run.tuner.lifecycle.incumbent, 3);
        CHECK_EQ(run.tuner.lifecycle.confirmed, 0);
        CHECK_EQ(run.tuner.lifecycle.rolled_back, ARMS - 1);
    }
}

static void a_workload_that_shifts_back_finds_its_old_threshold_again(void) {
    struct run run = start_run(2, HAK_LIFECYCLE_LEARN, 5);
    leave(&run, &low_sizes, BY_OPERATION, 60);
    leave(&run, &high_sizes, BY_OPERATION, 3);
    CHECK(finish_campaign(&run, &high_sizes));
    CHECK_EQ(run.tuner.lifecycle.incumbent, high_sizes.best);
    CHECK_EQ(leave(&run, &low_sizes, BY_OPERATION, 40).cause, HAK_LIFECYCLE_SHIFTED);
    CHECK(finish_campaign(&run, &low_sizes));
    CHECK_EQ(run.tuner.lifecycle.incumbent, low_sizes.best);
}

static void sizes_that_change_in_the_middle_of_a_campaign_start_it_over(void) {
    struct run run = start_run(1, HAK_LIFECYCLE_FROZEN, 6);
    one_window(&run, &low_sizes, BY_OPERATION);
    leave(&run, &high_sizes, BY_OPERATION, 3);
    CHECK_EQ(run.tuner.lifecycle.state, HAK_LIFECYCLE_CANARY);
    struct world third = {{.02, .02, .46, .46, .02, .02}, 3};
    bool again = false;
    for (int i = 0; i < 8 && !again; i++)
        again = one_window(&run, &third, BY_OPERATION).cause == HAK_LIFECYCLE_SHIFTED_AGAIN;
    CHECK(again);
    CHECK(finish_campaign(&run, &third));
    CHECK_EQ(run.tuner.lifecycle.incumbent, third.best);
}

static void sizes_that_change_while_learning_make_it_start_over(void) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct run run = start_run(0, HAK_LIFECYCLE_LEARN, seed);
        for (int i = 0; i < 17; i++) /* one short of every arm's three plays */
            CHECK_EQ(one_window(&run, &low_sizes, BY_WINDOW).cause, HAK_LIFECYCLE_NOTHING);
        CHECK(hak_elo_margin(&run.tuner.elo) > 0);
        one_window(&run, &high_sizes, BY_WINDOW);
        one_window(&run, &high_sizes, BY_WINDOW);
        CHECK_NEAR(hak_elo_margin(&run.tuner.elo), 0, 0); /* all forgotten */
        struct hak_lifecycle_event event = leave(&run, &high_sizes, BY_WINDOW, 60);
        CHECK_EQ(event.cause, HAK_LIFECYCLE_CONVERGED);
        CHECK_EQ(event.arm, high_sizes.best);
    }
}

static void arms_that_are_all_alike_freeze_at_the_time_limit(void) {
    struct run run = start_run(2, HAK_LIFECYCLE_LEARN, 8);
    struct world alike = {{0, 0, 0, 0, 0, 1}, 0}; /* from 2 MiB up every arm maps */
    struct hak_lifecycle_event event = leave(&run, &alike, BY_OPERATION, 200);
    CHECK(event.cause == HAK_LIFECYCLE_TIME_LIMIT || event.cause == HAK_LIFECYCLE_CONVERGED);
    CHECK(run.windows <= 180);
}

static void an_idle_program_freezes_on_the_arm_it_started_with(void) {
    struct run run = start_run(4, HAK_LIFECYCLE_LEARN, 9);
    struct hak_tuner_observation nothing[ARMS] = {{0}};
    struct hak_signature sizes;
    hak_signature_clear(&sizes);
    struct hak_lifecycle_event event = {0};
    for (uint64_t i = 1; i <= 180 && event.cause == HAK_LIFECYCLE_NOTHING; i++) {
        CHECK(!hak_tuner_window_ready(&run.tuner, nothing));
        event = hak_tuner_window(&run.tuner, i * SECOND_NS, nothing, &sizes);
    }
    CHECK_EQ(event.cause, HAK_LIFECYCLE_TIME_LIMIT);
    CHECK_EQ(event.arm, 4);
}

static void a_cost_from_too_few_samples_or_without_a_value_is_missing(void) {
    struct run run = start_run(0, HAK_LIFECYCLE_LEARN, 10);
    struct hak_tuner_observation observed[ARMS] = {
        {255, 1}, {256, NAN}, {256, 0}, {256, -1}, {256, INFINITY}, {0, 1}};
    struct hak_signature sizes;
    hak_signature_clear(&sizes);
    hak_tuner_window(&run.tuner, 1, observed, &sizes);
    for (uint32_t arm = 0; arm < ARMS; arm++)
        CHECK_EQ(run.tuner.plays[arm], 0);
}

static void the_first_window_runs_on_the_arm_in_force(void) {
    for (uint32_t start = 0; start < ARMS; start++) {
        struct run run = start_run(start, HAK_LIFECYCLE_LEARN, 11);
        double weight[HAK_TUNER_ARMS_MAX];
        hak_tuner_weights(&run.tuner, weight);
        CHECK_NEAR(weight[start], 1, 0);
    }
}

static void weights_sum_to_one_in_every_state(void) {
    struct run run = start_run(0, HAK_LIFECYCLE_LEARN, 12);
    uint32_t seen = 0;
    for (int i = 0; i < 120; i++) {
        double weight[HAK_TUNER_ARMS_MAX], sum = 0;
        hak_tuner_weights(&run.tuner, weight);
        for (int arm = 0; arm < HAK_TUNER_ARMS_MAX; arm++)
            sum += weight[arm];
        CHECK_NEAR(sum, 1, 1e-12);
        seen |= 1u << run.tuner.lifecycle.state;
        one_window(&run, i < 60 ? &low_sizes : &high_sizes, BY_OPERATION);
    }
    CHECK_EQ(seen, 7);
}

static void a_run_repeats_itself_from_its_seed(void) {
    struct run a = start_run(3, HAK_LIFECYCLE_LEARN, 13), b = start_run(3, HAK_LIFECYCLE_LEARN, 13);
    for (int i = 0; i < 30; i++) {
        one_window(&a, &high_sizes, BY_WINDOW);
        one_window(&b, &high_sizes, BY_WINDOW);
    }
    for (int arm = 0; arm < ARMS; arm++)
        CHECK_NEAR(a.tuner.elo.rating[arm], b.tuner.elo.rating[arm], 0);
    CHECK_EQ(a.tuner.lifecycle.incumbent, b.tuner.lifecycle.incumbent);
}

static void thresholds_are_six_doublings_from_64_kib(void) {
    CHECK_EQ(hak_tuner_threshold_bytes(0), 64 << 10);
    CHECK_EQ(hak_tuner_threshold_bytes(5), 2 << 20);
    CHECK_EQ(hak_tuner_threshold_bytes(77), 2 << 20);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(learn_converges_to_the_best_threshold_from_every_arm_when_operations_are_dealt);
    RUN(learn_converges_to_the_best_threshold_from_every_arm_when_windows_are_dealt);
    RUN(learn_finds_the_best_of_rungs_no_further_apart_than_their_scatter);
    RUN(frozen_gives_every_operation_to_the_incumbent);
    RUN(a_steady_workload_never_leaves_frozen);
    RUN(a_canary_gets_five_percent_of_the_operations);
    RUN(a_shift_confirms_the_new_best_threshold);
    RUN(a_shift_that_leaves_the_best_threshold_rolls_every_candidate_back);
    RUN(a_workload_that_shifts_back_finds_its_old_threshold_again);
    RUN(sizes_that_change_in_the_middle_of_a_campaign_start_it_over);
    RUN(sizes_that_change_while_learning_make_it_start_over);
    RUN(arms_that_are_all_alike_freeze_at_the_time_limit);
    RUN(an_idle_program_freezes_on_the_arm_it_started_with);
    RUN(a_cost_from_too_few_samples_or_without_a_value_is_missing);
    RUN(the_first_window_runs_on_the_arm_in_force);
    RUN(weights_sum_to_one_in_every_state);
    RUN(a_run_repeats_itself_from_its_seed);
    RUN(thresholds_are_six_doublings_from_64_kib);
    return check_report();
}
