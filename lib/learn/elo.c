/* ELO: see elo.h. */
#include "elo.h"

#include "fmath.h"

void hak_elo_init(struct hak_elo *elo, uint32_t arms, double k_factor) {
    *elo = (struct hak_elo){.arms = arms, .k_factor = k_factor > 0 ? k_factor : 32};
    if (elo->arms < 1)
        elo->arms = 1;
    if (elo->arms > HAK_ELO_ARMS_MAX)
        elo->arms = HAK_ELO_ARMS_MAX;
    for (uint32_t arm = 0; arm < elo->arms; arm++)
        elo->rating[arm] = HAK_ELO_RATING_START;
}

double hak_elo_expected(double rating, double against) {
    return 1 / (1 + hak_fmath_power_of_ten((against - rating) / 400));
}

enum hak_elo_outcome hak_elo_judge(double cost, double against_cost, double draw_band) {
    double cheaper = cost < against_cost ? cost : against_cost;
    double difference = cost < against_cost ? against_cost - cost : cost - against_cost;
    if (!(difference > cheaper * draw_band)) /* a NaN cost decides nothing: a draw */
        return HAK_ELO_DRAW;
    return cost < against_cost ? HAK_ELO_WIN : HAK_ELO_LOSS;
}

static void count_game(struct hak_elo *elo, uint32_t arm, enum hak_elo_outcome outcome) {
    uint32_t *tally = outcome == HAK_ELO_WIN    ? elo->wins
                      : outcome == HAK_ELO_LOSS ? elo->losses
                                                : elo->draws;
    tally[arm]++;
}

bool hak_elo_play(struct hak_elo *elo, uint32_t arm, uint32_t against,
                  enum hak_elo_outcome outcome) {
    if (arm >= elo->arms || against >= elo->arms || arm == against)
        return false;
    double score = outcome == HAK_ELO_WIN ? 1 : outcome == HAK_ELO_LOSS ? 0 : 0.5;
    double gain =
        elo->k_factor * (score - hak_elo_expected(elo->rating[arm], elo->rating[against]));
    elo->rating[arm] += gain;
    elo->rating[against] -= gain;
    count_game(elo, arm, outcome);
    count_game(elo, against, (enum hak_elo_outcome)(HAK_ELO_WIN - outcome));
    return true;
}

uint32_t hak_elo_games(const struct hak_elo *elo, uint32_t arm) {
    return arm < elo->arms ? elo->wins[arm] + elo->losses[arm] + elo->draws[arm] : 0;
}

uint32_t hak_elo_leader(const struct hak_elo *elo) {
    uint32_t leader = 0;
    for (uint32_t arm = 1; arm < elo->arms; arm++)
        if (elo->rating[arm] > elo->rating[leader])
            leader = arm;
    return leader;
}

double hak_elo_margin(const struct hak_elo *elo) {
    uint32_t leader = hak_elo_leader(elo);
    double second = -INFINITY;
    for (uint32_t arm = 0; arm < elo->arms; arm++)
        if (arm != leader && elo->rating[arm] > second)
            second = elo->rating[arm];
    return elo->rating[leader] - second;
}

void hak_elo_weights(const struct hak_elo *elo, double temperature, double epsilon,
                     double weight[HAK_ELO_ARMS_MAX]) {
    uint32_t leader = hak_elo_leader(elo);
    double sum = 0;
    if (!(epsilon > 0))
        epsilon = 0;
    if (epsilon > 1)
        epsilon = 1;
    for (uint32_t arm = 0; arm < elo->arms; arm++) {
        /* Relative to the leader: every exponent is <= 0 and the leader's term is 1. */
        double lag = elo->rating[arm] - elo->rating[leader];
        weight[arm] = temperature > 0 ? hak_fmath_exp(lag / temperature) : arm == leader;
        sum += weight[arm];
    }
    for (uint32_t arm = 0; arm < elo->arms; arm++)
        weight[arm] = (1 - epsilon) * weight[arm] / sum + epsilon / elo->arms;
}

uint32_t hak_elo_draw(const double *weight, uint32_t arms, double uniform) {
    uint32_t last = 0;
    for (uint32_t arm = 0; arm < arms; arm++) {
        if (!(weight[arm] > 0))
            continue;
        last = arm;
        if (uniform < weight[arm])
            return arm;
        uniform -= weight[arm];
    }
    return last; /* rounding left a crumb above the sum */
}

uint32_t hak_elo_select(const struct hak_elo *elo, double temperature, double epsilon,
                        double uniform) {
    double weight[HAK_ELO_ARMS_MAX];
    hak_elo_weights(elo, temperature, epsilon, weight);
    return hak_elo_draw(weight, elo->arms, uniform);
}
