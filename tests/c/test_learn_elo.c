/* lib/learn/elo against the published expected scores, and the choice by rating. */
#include "check.h"
#include "learn/elo.h"
#include "learn/fmath.h"

static void expected_scores_are_the_published_ones(void) {
    CHECK_NEAR(hak_elo_expected(1500, 1500), 0.5, 1e-15);
    CHECK_NEAR(hak_elo_expected(1900, 1500), 10.0 / 11, 1e-14); /* 400 points: ten to one */
    CHECK_NEAR(hak_elo_expected(1500, 1900), 1.0 / 11, 1e-14);
    CHECK_NEAR(hak_elo_expected(1700, 1500), 0.7597469266479578, 1e-13);
    /* A player of 1613 in a tournament, a much used example. */
    CHECK_NEAR(hak_elo_expected(1613, 1609), 0.506, 5e-4);
    CHECK_NEAR(hak_elo_expected(1613, 1477), 0.686, 5e-4);
    CHECK_NEAR(hak_elo_expected(1613, 1388), 0.785, 5e-4);
    CHECK_NEAR(hak_elo_expected(1613, 1586), 0.539, 5e-4);
    CHECK_NEAR(hak_elo_expected(1613, 1720), 0.351, 5e-4);
}

static void both_sides_of_a_game_expect_one_point_together(void) {
    struct check_rng rng = check_rng_seed(1);
    for (int i = 0; i < 1000; i++) {
        double a = 3000 * check_rng_uniform(&rng), b = 3000 * check_rng_uniform(&rng);
        CHECK_NEAR(hak_elo_expected(a, b) + hak_elo_expected(b, a), 1, 1e-12);
    }
}

static void a_game_moves_k_times_score_minus_expectation(void) {
    struct hak_elo elo;
    hak_elo_init(&elo, 3, 32);
    hak_elo_play(&elo, 0, 1, HAK_ELO_WIN);
    CHECK_NEAR(elo.rating[0], 1516, 1e-12);
    CHECK_NEAR(elo.rating[1], 1484, 1e-12);
    hak_elo_play(&elo, 0, 1, HAK_ELO_DRAW); /* the favourite loses points by a draw */
    CHECK_NEAR(elo.rating[0], 1516 + 32 * (0.5 - hak_elo_expected(1516, 1484)), 1e-12);
    hak_elo_play(&elo, 2, 0, HAK_ELO_LOSS);
    CHECK_EQ(elo.wins[0], 2);
    CHECK_EQ(elo.draws[0], 1);
    CHECK_EQ(elo.losses[1], 1);
    CHECK_EQ(elo.draws[1], 1);
    CHECK_EQ(elo.losses[2], 1);
    CHECK_EQ(hak_elo_games(&elo, 0), 3);
}

static void ratings_keep_their_sum(void) {
    struct hak_elo elo;
    struct check_rng rng = check_rng_seed(2);
    hak_elo_init(&elo, 6, 32);
    for (int i = 0; i < 10000; i++)
        hak_elo_play(&elo, (uint32_t)check_rng_between(&rng, 0, 5),
                     (uint32_t)check_rng_between(&rng, 0, 5),
                     (enum hak_elo_outcome)check_rng_between(&rng, 0, 2));
    double sum = 0;
    for (int arm = 0; arm < 6; arm++)
        sum += elo.rating[arm];
    CHECK_NEAR(sum, 6 * 1500, 1e-6);
}

static void ratings_find_the_strengths_that_results_were_drawn_from(void) {
    static const double strength[4] = {1700, 1600, 1400, 1300};
    struct hak_elo elo;
    struct check_rng rng = check_rng_seed(3);
    double mean[4] = {0};
    hak_elo_init(&elo, 4, 8);
    for (int i = 0; i < 40000; i++) {
        uint32_t a = (uint32_t)check_rng_between(&rng, 0, 3);
        uint32_t b = (uint32_t)check_rng_between(&rng, 0, 3);
        bool won = check_rng_uniform(&rng) < hak_elo_expected(strength[a], strength[b]);
        hak_elo_play(&elo, a, b, won ? HAK_ELO_WIN : HAK_ELO_LOSS);
        for (int arm = 0; arm < 4 && i >= 20000; arm++)
            mean[arm] += elo.rating[arm] / 20000;
    }
    for (int arm = 0; arm < 4; arm++)
        CHECK_NEAR(mean[arm], strength[arm], 10);
    CHECK_EQ(hak_elo_leader(&elo), 0);
}

static void games_of_unknown_arms_or_against_oneself_change_nothing(void) {
    struct hak_elo elo;
    hak_elo_init(&elo, 3, 0);
    CHECK_NEAR(elo.k_factor, 32, 0);
    CHECK(!hak_elo_play(&elo, 0, 0, HAK_ELO_WIN));
    CHECK(!hak_elo_play(&elo, 0, 3, HAK_ELO_WIN));
    CHECK(!hak_elo_play(&elo, 7, 0, HAK_ELO_WIN));
    for (uint32_t arm = 0; arm < 3; arm++) {
        CHECK_NEAR(elo.rating[arm], 1500, 0);
        CHECK_EQ(hak_elo_games(&elo, arm), 0);
    }
}

static void the_cheaper_arm_wins_outside_the_draw_band(void) {
    CHECK_EQ(hak_elo_judge(100, 110, 0.02), HAK_ELO_WIN);
    CHECK_EQ(hak_elo_judge(110, 100, 0.02), HAK_ELO_LOSS);
    CHECK_EQ(hak_elo_judge(101, 100, 0.02), HAK_ELO_DRAW);
    CHECK_EQ(hak_elo_judge(100, 102, 0.02), HAK_ELO_DRAW);
    CHECK_EQ(hak_elo_judge(5, 5, 0), HAK_ELO_DRAW);
    CHECK_EQ(hak_elo_judge(NAN, 5, 0.02), HAK_ELO_DRAW);
}

static void weights_are_a_softmax_mixed_with_a_uniform_share(void) {
    struct hak_elo elo;
    double weight[HAK_ELO_ARMS_MAX];
    hak_elo_init(&elo, 3, 32);
    elo.rating[0] = 1600;
    elo.rating[1] = 1500;
    elo.rating[2] = 1400;
    hak_elo_weights(&elo, 100, 0.10, weight);
    double sum = 1 + hak_fmath_exp(-1) + hak_fmath_exp(-2);
    CHECK_NEAR(weight[0], 0.9 / sum + 0.1 / 3, 1e-14);
    CHECK_NEAR(weight[1], 0.9 * hak_fmath_exp(-1) / sum + 0.1 / 3, 1e-14);
    CHECK_NEAR(weight[2], 0.9 * hak_fmath_exp(-2) / sum + 0.1 / 3, 1e-14);
    CHECK_NEAR(weight[0] + weight[1] + weight[2], 1, 1e-14);
}

static void weights_stay_finite_for_absurd_ratings(void) {
    struct hak_elo elo;
    double weight[HAK_ELO_ARMS_MAX];
    hak_elo_init(&elo, 2, 32);
    elo.rating[0] = 1e9;
    elo.rating[1] = -1e9;
    hak_elo_weights(&elo, 1e-3, 0, weight);
    CHECK_NEAR(weight[0], 1, 0);
    CHECK_NEAR(weight[1], 0, 0);
}

static void temperature_zero_takes_the_leader_and_epsilon_one_takes_any(void) {
    struct hak_elo elo;
    double weight[HAK_ELO_ARMS_MAX];
    hak_elo_init(&elo, 4, 32);
    hak_elo_play(&elo, 2, 1, HAK_ELO_WIN);
    hak_elo_weights(&elo, 0, 0, weight);
    CHECK_NEAR(weight[2], 1, 0);
    hak_elo_weights(&elo, 0, 7, weight); /* cut to 1 */
    for (int arm = 0; arm < 4; arm++)
        CHECK_NEAR(weight[arm], 0.25, 1e-15);
    hak_elo_weights(&elo, 0, NAN, weight);
    CHECK_NEAR(weight[2], 1, 0);
}

static void selection_follows_the_weights(void) {
    struct hak_elo elo;
    double weight[HAK_ELO_ARMS_MAX];
    int drawn[4] = {0};
    const int draws = 100000;
    struct check_rng rng = check_rng_seed(5);
    hak_elo_init(&elo, 4, 32);
    for (int i = 0; i < 4; i++)
        hak_elo_play(&elo, 3, 0, HAK_ELO_WIN);
    hak_elo_weights(&elo, 50, 0.10, weight);
    for (int i = 0; i < draws; i++)
        drawn[hak_elo_select(&elo, 50, 0.10, check_rng_uniform(&rng))]++;
    for (int arm = 0; arm < 4; arm++) /* four standard deviations are 0.0064 at most */
        CHECK_NEAR((double)drawn[arm] / draws, weight[arm], 0.0064);
}

static void a_draw_never_falls_on_an_arm_without_weight(void) {
    static const double weight[4] = {0, 0.5, 0.5, 0};
    CHECK_EQ(hak_elo_draw(weight, 4, 0), 1);
    CHECK_EQ(hak_elo_draw(weight, 4, 0.4999), 1);
    CHECK_EQ(hak_elo_draw(weight, 4, 0.5), 2);
    CHECK_EQ(hak_elo_draw(weight, 4, 1), 2); /* beyond the range: the last with weight */
}

static void the_margin_is_from_the_first_to_the_second(void) {
    struct hak_elo elo;
    hak_elo_init(&elo, 3, 32);
    CHECK_NEAR(hak_elo_margin(&elo), 0, 0);
    CHECK_EQ(hak_elo_leader(&elo), 0);
    hak_elo_play(&elo, 1, 2, HAK_ELO_WIN);
    CHECK_EQ(hak_elo_leader(&elo), 1);
    CHECK_NEAR(hak_elo_margin(&elo), 16, 1e-12);
    hak_elo_init(&elo, 1, 32);
    CHECK(hak_elo_margin(&elo) == INFINITY);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(expected_scores_are_the_published_ones);
    RUN(both_sides_of_a_game_expect_one_point_together);
    RUN(a_game_moves_k_times_score_minus_expectation);
    RUN(ratings_keep_their_sum);
    RUN(ratings_find_the_strengths_that_results_were_drawn_from);
    RUN(games_of_unknown_arms_or_against_oneself_change_nothing);
    RUN(the_cheaper_arm_wins_outside_the_draw_band);
    RUN(weights_are_a_softmax_mixed_with_a_uniform_share);
    RUN(weights_stay_finite_for_absurd_ratings);
    RUN(temperature_zero_takes_the_leader_and_epsilon_one_takes_any);
    RUN(selection_follows_the_weights);
    RUN(a_draw_never_falls_on_an_arm_without_weight);
    RUN(the_margin_is_from_the_first_to_the_second);
    return check_report();
}
