/* lib/learn/ace_controller: what each loop decides from a window, and that trials find the top. */
#include "check.h"
#include "learn/ace_controller.h"

#define SECOND_NS UINT64_C(1000000000)
#define MIB (UINT64_C(1) << 20)

static struct hak_ace_controller_config config;

/* Every list may shrink, however little it holds. */
static struct hak_ace_controller started(uint32_t classes, uint32_t slots) {
    struct hak_ace_controller c;
    uint32_t start[HAK_ACE_CONTROLLER_CLASSES_MAX];
    for (uint32_t i = 0; i < HAK_ACE_CONTROLLER_CLASSES_MAX; i++)
        start[i] = slots;
    config = hak_ace_controller_config_default();
    config.keep_bytes = 0;
    config.waste_share = 0;
    config.capacity_floor = 8;
    hak_ace_controller_init(&c, &config, classes, start);
    return c;
}

/* A window of a class of 64-byte blocks whose memory is mapped / live MiB. */
static struct hak_ace_class_window window(uint64_t hits, uint64_t refills, uint64_t drains,
                                          uint64_t live, uint64_t mapped) {
    return (struct hak_ace_class_window){hits, refills, drains, live * MIB, mapped * MIB, 64};
}

static void a_list_that_empties_and_overflows_grows_to_its_ceiling(void) {
    struct hak_ace_controller c = started(1, 16);
    struct hak_ace_class_window w = window(10000, 500, 500, 10, 11);
    static const uint32_t slots[] = {32, 64, 128, 128};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(hak_ace_controller_fast(&c, &w, 4), i < 3);
        CHECK_EQ(c.capacity_slots[0], slots[i]);
    }
}

static void a_list_that_only_empties_or_only_overflows_stays(void) {
    struct hak_ace_controller c = started(2, 32);
    struct hak_ace_class_window w[2] = {window(1000, 500, 0, 10, 11), window(1000, 5, 500, 10, 11)};
    CHECK_EQ(hak_ace_controller_fast(&c, w, 4), 0);
    CHECK_EQ(c.capacity_slots[0], 32);
    CHECK_EQ(c.capacity_slots[1], 32);
}

static void a_list_that_hardly_misses_shrinks_when_its_memory_is_fragmented(void) {
    struct hak_ace_controller c = started(2, 128);
    struct hak_ace_class_window w[2] = {window(100000, 10, 10, 10, 20),
                                        window(100000, 10, 10, 10, 12)};
    CHECK_EQ(hak_ace_controller_fast(&c, w, 4), 1);
    CHECK_EQ(c.capacity_slots[0], 64);
    CHECK_EQ(c.capacity_slots[1], 128);
}

static void an_idle_list_halves_every_fourth_window_down_to_its_floor(void) {
    struct hak_ace_controller c = started(1, 32);
    struct hak_ace_class_window w = window(100, 0, 0, 1, 1);
    for (int i = 1; i <= 40; i++) {
        hak_ace_controller_fast(&c, &w, 4);
        CHECK_EQ(c.capacity_slots[0], i < 4 ? 32 : i < 8 ? 16 : 8);
    }
}

static void lists_that_hold_next_to_nothing_do_not_shrink(void) {
    struct hak_ace_controller c = started(3, 128);
    c.config.keep_bytes = 16 << 10; /* of 64 bytes, 4 threads: 64 slots */
    struct hak_ace_class_window idle = window(100, 0, 0, 10, 20), wasted = idle;
    struct hak_ace_class_window steady = window(100000, 500, 0, 10, 11);
    wasted.hits = 100000;
    struct hak_ace_class_window w[3] = {wasted, idle, steady};
    for (int i = 0; i < 20; i++)
        hak_ace_controller_fast(&c, w, 4);
    CHECK_EQ(c.capacity_slots[0], 64);
    CHECK_EQ(c.capacity_slots[1], 64);
    CHECK_EQ(c.capacity_slots[2], 128);
}

static void a_list_shrinks_for_waste_that_is_its_own_alone(void) {
    struct hak_ace_controller c = started(1, 128);
    c.config.waste_share = 0.125; /* 32 KiB of lists: an eighth of 256 KiB */
    struct hak_ace_class_window w = window(100000, 10, 10, 0, 0);
    w.mapped_bytes = 300 << 10;
    w.live_bytes = 40 << 10;
    CHECK_EQ(hak_ace_controller_fast(&c, &w, 4), 0);
    w.live_bytes = 50 << 10;
    CHECK_EQ(hak_ace_controller_fast(&c, &w, 4), 1);
    CHECK_EQ(c.capacity_slots[0], 64);
}

static void a_class_at_the_ceiling_follows_its_trial_and_comes_back(void) {
    struct hak_ace_controller c = started(3, 64);
    struct hak_ace_class_window grows = window(10000, 500, 500, 10, 11);
    struct hak_ace_class_window steady = window(100000, 500, 0, 10, 11);
    struct hak_ace_class_window w[3] = {grows, steady, steady};
    hak_ace_controller_fast(&c, w, 1);
    CHECK_EQ(c.capacity_slots[0], 128);
    hak_ace_controller_slow(&c, 1, 0.5); /* one down */
    CHECK_EQ(c.capacity_slots[0], 64);
    hak_ace_controller_slow(&c, 2, 0.2);
    hak_ace_controller_fast(&c, w, 1);
    hak_ace_controller_slow(&c, 3, 0.5); /* the drains' turn, and back */
    hak_ace_controller_slow(&c, 4, 0.2);
    hak_ace_controller_slow(&c, 5, 0.5);
    CHECK_EQ(c.ceiling_slots, 256);
    CHECK_EQ(c.capacity_slots[0], 256);
    CHECK_EQ(c.capacity_slots[1], 64);
    hak_ace_controller_slow(&c, 6, 0.2);
    CHECK_EQ(c.capacity_slots[0], 128);
}

static void growth_stops_at_the_budget_and_uses_what_shrinking_frees(void) {
    struct hak_ace_controller c = started(2, 128);
    /* 4 threads: 128 slots of 64 bytes are 32 KiB a class. */
    struct hak_ace_class_window grows = window(10000, 500, 500, 10, 11);
    struct hak_ace_class_window shrinks = window(100000, 10, 10, 10, 20);
    struct hak_ace_class_window steady = window(100000, 500, 0, 10, 11);
    c.config.ceiling_slots[2] = c.ceiling_slots = 1024;
    c.config.budget_bytes = 64 << 10;
    struct hak_ace_class_window w[2] = {grows, steady};
    CHECK_EQ(hak_ace_controller_fast(&c, w, 4), 0);
    w[1] = shrinks;
    hak_ace_controller_fast(&c, w, 4); /* 16 KiB are free, 32 are needed */
    CHECK_EQ(c.capacity_slots[0], 128);
    CHECK_EQ(c.capacity_slots[1], 64);
    w[1] = shrinks;
    c.config.budget_bytes = 80 << 10;
    hak_ace_controller_fast(&c, w, 4);
    CHECK_EQ(c.capacity_slots[0], 256);
    CHECK_EQ(c.capacity_slots[1], 32);
}

static void capacities_stay_between_floor_and_ceiling_whatever_is_measured(void) {
    struct hak_ace_controller c = started(8, 30);
    struct check_rng rng = check_rng_seed(1);
    for (int i = 0; i < 20000; i++) {
        struct hak_ace_class_window w[8];
        for (int k = 0; k < 8; k++)
            w[k] = window(check_rng_between(&rng, 0, 20000), check_rng_between(&rng, 0, 1000),
                          check_rng_between(&rng, 0, 1000), check_rng_between(&rng, 0, 9),
                          check_rng_between(&rng, 0, 20));
        hak_ace_controller_fast(&c, w, 2);
        hak_ace_controller_slow(&c, (uint64_t)i * 10 * SECOND_NS,
                                check_rng_uniform(&rng) < 0.1 ? NAN : check_rng_uniform(&rng));
        for (int k = 0; k < 8; k++)
            if (!CHECK(c.capacity_slots[k] >= 8 && c.capacity_slots[k] <= c.ceiling_slots))
                return;
    }
}

static void the_reward_falls_with_slow_paths_and_with_waste(void) {
    config = hak_ace_controller_config_default();
    struct hak_ace_class_window best = window(10000, 0, 0, 10, 10);
    struct hak_ace_class_window slow = window(9800, 200, 200, 10, 10);
    struct hak_ace_class_window waste = window(10000, 0, 0, 10, 30);
    struct hak_ace_class_window none = window(0, 0, 0, 10, 10), dead = window(10, 0, 0, 0, 10);
    CHECK_NEAR(hak_ace_controller_reward(&config, &best, 1), 1, 0);
    CHECK_NEAR(hak_ace_controller_reward(&config, &slow, 1), 1 / 3.0, 1e-12); /* 50 * 0.04 = 2 */
    CHECK_NEAR(hak_ace_controller_reward(&config, &waste, 1), 0.5, 1e-12);    /* 0.5 * 2 = 1 */
    CHECK(isnan(hak_ace_controller_reward(&config, &none, 1)));
    CHECK(isnan(hak_ace_controller_reward(&config, &dead, 1)));
}

static void a_trial_changes_one_ladder_by_one_rung_and_is_taken_back(void) {
    struct hak_ace_controller c = started(1, 64);
    CHECK_EQ(c.ceiling_slots, 128);
    CHECK_EQ(c.drain_permille, 500);
    CHECK(hak_ace_controller_slow(&c, 1, 0.5));
    CHECK_EQ(c.ceiling_slots, 64);
    CHECK_EQ(c.drain_permille, 500);
    CHECK(hak_ace_controller_slow(&c, 2, 0.3)); /* worse: back, and the other ladder's turn */
    CHECK_EQ(c.ceiling_slots, 128);
    hak_ace_controller_slow(&c, 3, 0.5);
    CHECK_EQ(c.ceiling_slots, 128);
    CHECK_EQ(c.drain_permille, 250);
    hak_ace_controller_slow(&c, 4, 0.3);
    CHECK_EQ(c.drain_permille, 500);
}

static void a_promising_trial_is_repeated_before_the_other_ladder_has_its_turn(void) {
    struct hak_ace_controller c = started(1, 64);
    for (uint64_t i = 0; i < 3; i++) {
        hak_ace_controller_slow(&c, 2 * i, 0.5);
        CHECK_EQ(c.ceiling_slots, 64);
        CHECK_EQ(c.drain_permille, 500);
        hak_ace_controller_slow(&c, 2 * i + 1, 0.6);
    }
    CHECK_EQ(c.ceiling.moves, 1);
    CHECK_EQ(c.ceiling_slots, 64);
}

static void a_missing_reward_opens_no_trial_and_ends_one(void) {
    struct hak_ace_controller c = started(1, 64);
    CHECK(!hak_ace_controller_slow(&c, 1, NAN));
    CHECK(!c.trying);
    hak_ace_controller_slow(&c, 2, 0.5);
    CHECK(c.trying);
    hak_ace_controller_slow(&c, 3, NAN);
    CHECK(!c.trying);
    CHECK_EQ(c.ceiling_slots, 128);
}

static double rung_loss(uint32_t rung, uint32_t best, double loss) {
    double factor = 1;
    for (uint32_t i = rung < best ? rung : best; i < (rung < best ? best : rung); i++)
        factor *= 1 - loss;
    return factor;
}

/* A world in which each rung away from the best costs 15 %; rewards scatter by +-2 %. */
static double world_reward(struct check_rng *rng, const struct hak_ace_controller *c,
                           uint32_t best_ceiling, uint32_t best_drain) {
    uint32_t ceiling = 0, drain = 0;
    while (c->config.ceiling_slots[ceiling] != c->ceiling_slots)
        ceiling++;
    while (c->config.drain_permille[drain] != c->drain_permille)
        drain++;
    return 0.8 * rung_loss(ceiling, best_ceiling, 0.15) * rung_loss(drain, best_drain, 0.15) *
           (0.98 + 0.04 * check_rng_uniform(rng));
}

static void the_slow_loop_climbs_to_the_best_of_both_ladders(void) {
    static const uint32_t best[4][2] = {{0, 0}, {5, 3}, {2, 1}, {4, 0}};
    for (int k = 0; k < 4; k++) {
        struct hak_ace_controller c = started(4, 64);
        struct check_rng rng = check_rng_seed((uint64_t)k);
        for (uint64_t i = 0; i < 400; i++) /* slow windows of 10 s: a bit over an hour */
            hak_ace_controller_slow(&c, i * 10 * SECOND_NS,
                                    world_reward(&rng, &c, best[k][0], best[k][1]));
        CHECK_EQ(c.ceiling.current, best[k][0]);
        CHECK_EQ(c.drain.current, best[k][1]);
    }
}

static void on_a_level_field_the_slow_loop_stays_where_it_is(void) {
    struct hak_ace_controller c = started(4, 64);
    struct check_rng rng = check_rng_seed(5);
    for (uint64_t i = 0; i < 5000; i++)
        hak_ace_controller_slow(&c, i * 10 * SECOND_NS,
                                0.5 * (0.98 + 0.04 * check_rng_uniform(&rng)));
    CHECK_EQ(c.ceiling.moves + c.drain.moves, 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_list_that_empties_and_overflows_grows_to_its_ceiling);
    RUN(a_list_that_only_empties_or_only_overflows_stays);
    RUN(a_list_that_hardly_misses_shrinks_when_its_memory_is_fragmented);
    RUN(an_idle_list_halves_every_fourth_window_down_to_its_floor);
    RUN(lists_that_hold_next_to_nothing_do_not_shrink);
    RUN(a_list_shrinks_for_waste_that_is_its_own_alone);
    RUN(a_class_at_the_ceiling_follows_its_trial_and_comes_back);
    RUN(growth_stops_at_the_budget_and_uses_what_shrinking_frees);
    RUN(capacities_stay_between_floor_and_ceiling_whatever_is_measured);
    RUN(the_reward_falls_with_slow_paths_and_with_waste);
    RUN(a_trial_changes_one_ladder_by_one_rung_and_is_taken_back);
    RUN(a_promising_trial_is_repeated_before_the_other_ladder_has_its_turn);
    RUN(a_missing_reward_opens_no_trial_and_ends_one);
    RUN(the_slow_loop_climbs_to_the_best_of_both_ladders);
    RUN(on_a_level_field_the_slow_loop_stays_where_it_is);
    return check_report();
}
