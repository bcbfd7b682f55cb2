/* lib/learn/ucb1: the published regret bound, and the walk's hysteresis. */
#include "check.h"
#include "learn/fmath.h"
#include "learn/ucb1.h"

#define SECOND_NS UINT64_C(1000000000)

/* Auer, Cesa-Bianchi and Fischer 2002, theorem 1. */
static double regret_bound(const double *mean, uint32_t arms, uint64_t plays) {
    double best = 0, logarithmic = 0, constant = 0;
    for (uint32_t arm = 0; arm < arms; arm++)
        best = mean[arm] > best ? mean[arm] : best;
    for (uint32_t arm = 0; arm < arms; arm++) {
        double gap = best - mean[arm];
        if (gap > 0)
            logarithmic += hak_fmath_log((double)plays) / gap;
        constant += gap;
    }
    return 8 * logarithmic + (1 + 3.14159265358979 * 3.14159265358979 / 3) * constant;
}

/* Mean regret of UCB1 on Bernoulli arms after 1000 and after 10000 plays, over seeded runs. */
static void mean_regret(const double *mean, uint32_t arms, double after[2]) {
    const int runs = 30;
    double best = 0;
    after[0] = after[1] = 0;
    for (uint32_t arm = 0; arm < arms; arm++)
        best = mean[arm] > best ? mean[arm] : best;
    for (int run = 0; run < runs; run++) {
        struct check_rng rng = check_rng_seed(1000 + (uint64_t)run);
        struct hak_ucb1 ucb1;
        double regret = 0;
        hak_ucb1_init(&ucb1, arms, HAK_UCB1_EXPLORATION);
        for (int play = 1; play <= 10000; play++) {
            uint32_t arm = hak_ucb1_select(&ucb1);
            hak_ucb1_add(&ucb1, arm, check_rng_uniform(&rng) < mean[arm]);
            regret += best - mean[arm];
            if (play == 1000)
                after[0] += regret / runs;
        }
        after[1] += regret / runs;
    }
}

static void check_regret(const double *mean, uint32_t arms) {
    double after[2];
    mean_regret(mean, arms, after);
    CHECK_BETWEEN(after[0], 0, regret_bound(mean, arms, 1000));
    CHECK_BETWEEN(after[1], 0, regret_bound(mean, arms, 10000));
    /* Linear regret grows tenfold from 1000 to 10000 plays, logarithmic by 4/3 and a constant. */
    CHECK_BETWEEN(after[1] / after[0], 1, 4);
}

static void regret_stays_under_its_logarithmic_bound_when_one_arm_stands_out(void) {
    static const double mean[] = {0.9, 0.6, 0.6, 0.6, 0.5, 0.3};
    check_regret(mean, 6);
}

static void regret_stays_under_its_logarithmic_bound_when_arms_are_close(void) {
    static const double mean[] = {0.4, 0.5, 0.6, 0.7};
    check_regret(mean, 4);
}

static void regret_stays_under_its_logarithmic_bound_with_two_arms(void) {
    static const double mean[] = {0.55, 0.45};
    double after[2];
    mean_regret(mean, 2, after);
    CHECK_BETWEEN(after[0], 0, regret_bound(mean, 2, 1000));
    CHECK_BETWEEN(after[1], 0, regret_bound(mean, 2, 10000));
}

static void every_arm_is_played_once_before_any_is_played_twice(void) {
    struct hak_ucb1 ucb1;
    hak_ucb1_init(&ucb1, 6, 2);
    for (uint32_t play = 0; play < 6; play++) {
        uint32_t arm = hak_ucb1_select(&ucb1);
        CHECK_EQ(arm, play);
        CHECK(isnan(hak_ucb1_mean(&ucb1, arm)));
        hak_ucb1_add(&ucb1, arm, arm == 0 ? 1 : 0);
    }
    CHECK_EQ(hak_ucb1_select(&ucb1), 0);
}

static void the_index_is_mean_plus_confidence_radius(void) {
    struct hak_ucb1 ucb1;
    hak_ucb1_init(&ucb1, 2, 2);
    for (int i = 0; i < 4; i++)
        hak_ucb1_add(&ucb1, 0, 0.25);
    for (int i = 0; i < 12; i++)
        hak_ucb1_add(&ucb1, 1, 0.5);
    CHECK_NEAR(hak_ucb1_index(&ucb1, 0), 0.25 + 1.1774100225154747, 1e-12); /* sqrt(2 ln 16 / 4) */
    CHECK_NEAR(hak_ucb1_index(&ucb1, 1), 0.5 + 0.6797779934458726, 1e-12);  /* sqrt(2 ln 16 / 12) */
}

static void rewards_are_cut_and_bad_input_is_refused(void) {
    struct hak_ucb1 ucb1;
    hak_ucb1_init(&ucb1, 100, -1);
    CHECK_EQ(ucb1.arms, HAK_UCB1_ARMS_MAX);
    CHECK_NEAR(ucb1.exploration, 2, 0);
    CHECK(!hak_ucb1_add(&ucb1, 0, NAN));
    CHECK(!hak_ucb1_add(&ucb1, HAK_UCB1_ARMS_MAX, 1));
    CHECK_EQ(ucb1.plays, 0);
    hak_ucb1_add(&ucb1, 0, 7);
    hak_ucb1_add(&ucb1, 1, -7);
    CHECK_NEAR(hak_ucb1_mean(&ucb1, 0), 1, 0);
    CHECK_NEAR(hak_ucb1_mean(&ucb1, 1), 0, 0);
}

static struct hak_ucb1_walk walk_from(uint32_t start) {
    struct hak_ucb1_walk walk;
    struct hak_ucb1_walk_config config = hak_ucb1_walk_config_default();
    hak_ucb1_walk_init(&walk, &config, 5, start);
    return walk;
}

static void a_walk_moves_after_three_better_windows_running(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    CHECK(!hak_ucb1_walk_window(&walk, 1, 3, 0.50, 0.55));
    CHECK(!hak_ucb1_walk_window(&walk, 2, 3, 0.50, 0.55));
    CHECK_EQ(walk.current, 2);
    CHECK(hak_ucb1_walk_window(&walk, 3, 3, 0.50, 0.55));
    CHECK_EQ(walk.current, 3);
}

static void an_improvement_under_eight_percent_never_moves_a_walk(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    for (uint64_t now = 0; now < 50; now++)
        CHECK(!hak_ucb1_walk_window(&walk, now * SECOND_NS, 3, 0.50, 0.539));
    CHECK(hak_ucb1_walk_window(&walk, 50, 3, 0.50, 0.541) == false);
    CHECK_EQ(walk.current, 2);
    CHECK_EQ(walk.streak, 1);
}

static void one_window_without_improvement_starts_the_count_again(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    hak_ucb1_walk_window(&walk, 1, 3, 0.5, 0.6);
    hak_ucb1_walk_window(&walk, 2, 3, 0.5, 0.6);
    hak_ucb1_walk_window(&walk, 3, 3, 0.5, 0.5);
    hak_ucb1_walk_window(&walk, 4, 3, 0.5, 0.6);
    hak_ucb1_walk_window(&walk, 5, 3, 0.5, 0.6);
    CHECK_EQ(walk.current, 2);
    CHECK(hak_ucb1_walk_window(&walk, 6, 3, 0.5, 0.6));
}

static void windows_of_two_different_neighbours_do_not_add_up(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    hak_ucb1_walk_window(&walk, 1, 3, 0.5, 0.6);
    hak_ucb1_walk_window(&walk, 2, 3, 0.5, 0.6);
    CHECK(!hak_ucb1_walk_window(&walk, 3, 1, 0.5, 0.6));
    CHECK_EQ(walk.streak, 1);
    CHECK_EQ(walk.trial, 1);
}

static void a_missing_reward_neither_counts_nor_breaks_a_streak(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    hak_ucb1_walk_window(&walk, 1, 3, 0.5, 0.6);
    hak_ucb1_walk_window(&walk, 2, 3, 0.5, NAN);
    hak_ucb1_walk_window(&walk, 3, 3, NAN, 0.6);
    CHECK_EQ(walk.streak, 1);
    hak_ucb1_walk_window(&walk, 4, 3, 0.5, 0.6);
    CHECK(hak_ucb1_walk_window(&walk, 5, 3, 0.5, 0.6));
}

static void a_walk_never_jumps_over_a_neighbour(void) {
    struct hak_ucb1_walk walk = walk_from(0);
    for (int i = 0; i < 10; i++)
        CHECK(!hak_ucb1_walk_window(&walk, 1, 2, 0.1, 0.9));
    CHECK_EQ(walk.current, 0);
}

static void a_walk_rests_for_its_cooldown_after_a_move(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    for (int i = 0; i < 3; i++)
        hak_ucb1_walk_window(&walk, 10 * SECOND_NS, 3, 0.5, 0.6);
    CHECK_EQ(walk.current, 3);
    CHECK_EQ(hak_ucb1_walk_propose(&walk, 189 * SECOND_NS), 3);
    for (int i = 0; i < 5; i++)
        CHECK(!hak_ucb1_walk_window(&walk, 189 * SECOND_NS, 4, 0.5, 0.9));
    CHECK(hak_ucb1_walk_propose(&walk, 190 * SECOND_NS) != 3);
    CHECK(!hak_ucb1_walk_window(&walk, 190 * SECOND_NS, 4, 0.5, 0.9));
    CHECK(!hak_ucb1_walk_window(&walk, 190 * SECOND_NS, 4, 0.5, 0.9));
    CHECK(hak_ucb1_walk_window(&walk, 190 * SECOND_NS, 4, 0.5, 0.9));
}

static void a_proposal_is_a_neighbour_inside_the_ladder(void) {
    for (uint32_t start = 0; start < 5; start++) {
        struct hak_ucb1_walk walk = walk_from(start);
        struct check_rng rng = check_rng_seed(start);
        for (int i = 0; i < 200; i++) {
            uint32_t trial = hak_ucb1_walk_propose(&walk, 0);
            CHECK(trial < 5 && trial + 1 >= walk.current && trial <= walk.current + 1);
            hak_ucb1_walk_window(&walk, 0, trial, 0.5, 0.4 + 0.1 * check_rng_uniform(&rng));
        }
        CHECK_EQ(walk.current, start);
    }
}

static void a_ladder_of_one_rung_proposes_itself(void) {
    struct hak_ucb1_walk walk;
    struct hak_ucb1_walk_config config = hak_ucb1_walk_config_default();
    hak_ucb1_walk_init(&walk, &config, 1, 9);
    CHECK_EQ(walk.current, 0);
    CHECK_EQ(hak_ucb1_walk_propose(&walk, 0), 0);
}

static void trials_of_worse_neighbours_become_rare(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    int early = 0, late = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t trial = hak_ucb1_walk_propose(&walk, 0);
        early += i < 100 && trial != 2;
        late += i >= 900 && trial != 2;
        hak_ucb1_walk_window(&walk, 0, trial, 0.8, trial == 2 ? NAN : 0.5);
    }
    CHECK_BETWEEN(early, 2, 30);
    CHECK_BETWEEN(late, 0, 3);
}

/* Rewards of a ladder with its top at `best`, 15 % down a rung, with noise of 3 % (uniform). */
static double rung_reward(struct check_rng *rng, uint32_t rung, uint32_t best) {
    double reward = 0.8;
    for (uint32_t i = rung < best ? rung : best; i < (rung < best ? best : rung); i++)
        reward *= 0.85;
    return reward * (0.97 + 0.06 * check_rng_uniform(rng));
}

static void a_walk_reaches_the_top_from_every_rung_and_stays_there(void) {
    for (uint32_t start = 0; start < 5; start++)
        for (uint32_t best = 0; best < 5; best++) {
            struct hak_ucb1_walk walk = walk_from(start);
            struct check_rng rng = check_rng_seed(10 * start + best);
            uint64_t now_ns = 0;
            uint32_t distance = start < best ? best - start : start - best;
            /* A move takes its cooldown and, in windows of 10 s, a few trials. */
            for (uint32_t i = 0; i < 12 + distance * 30; i++, now_ns += 10 * SECOND_NS) {
                uint32_t trial = hak_ucb1_walk_propose(&walk, now_ns);
                double now = rung_reward(&rng, walk.current, best);
                double tried = rung_reward(&rng, trial, best);
                hak_ucb1_walk_window(&walk, now_ns, trial, now, tried);
            }
            CHECK_EQ(walk.current, best);
            CHECK_EQ(walk.moves, distance);
        }
}

static void forgetting_keeps_the_arm_and_drops_the_evidence(void) {
    struct hak_ucb1_walk walk = walk_from(2);
    hak_ucb1_walk_window(&walk, 1, 3, 0.5, 0.6);
    hak_ucb1_walk_forget(&walk);
    CHECK_EQ(walk.current, 2);
    CHECK_EQ(walk.streak, 0);
    CHECK_EQ(walk.bandit.plays, 0);
    CHECK_EQ(walk.bandit.arms, 5);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(regret_stays_under_its_logarithmic_bound_when_one_arm_stands_out);
    RUN(regret_stays_under_its_logarithmic_bound_when_arms_are_close);
    RUN(regret_stays_under_its_logarithmic_bound_with_two_arms);
    RUN(every_arm_is_played_once_before_any_is_played_twice);
    RUN(the_index_is_mean_plus_confidence_radius);
    RUN(rewards_are_cut_and_bad_input_is_refused);
    RUN(a_walk_moves_after_three_better_windows_running);
    RUN(an_improvement_under_eight_percent_never_moves_a_walk);
    RUN(one_window_without_improvement_starts_the_count_again);
    RUN(windows_of_two_different_neighbours_do_not_add_up);
    RUN(a_missing_reward_neither_counts_nor_breaks_a_streak);
    RUN(a_walk_never_jumps_over_a_neighbour);
    RUN(a_walk_rests_for_its_cooldown_after_a_move);
    RUN(a_proposal_is_a_neighbour_inside_the_ladder);
    RUN(a_ladder_of_one_rung_proposes_itself);
    RUN(trials_of_worse_neighbours_become_rare);
    RUN(a_walk_reaches_the_top_from_every_rung_and_stays_there);
    RUN(forgetting_keeps_the_arm_and_drops_the_evidence);
    return check_report();
}
