/*
 * elo.h - a rating per arm from pairwise results, and the choice of an arm by rating.
 *
 * A. Elo, "The Rating of Chessplayers, Past and Present", 1978. With ratings a and b,
 *
 *   expected(a, b) = 1 / (1 + 10^((b - a) / 400))        a' = a + K (score - expected)
 *
 * score 1 win, 1/2 draw, 0 loss. What one side gains the other loses, so the mean stays 1500.
 * Choice: softmax over rating / temperature (J. Bridle, "Training stochastic model recognition
 * algorithms as networks can lead to maximum mutual information estimation of parameters", 1989),
 * mixed with epsilon of the uniform distribution (R. Sutton and A. Barto, "Reinforcement Learning:
 * An Introduction", 1998, 2.2).
 *
 * Owned by whoever holds the struct, for one thread at a time (the learner's). No I/O, no clock;
 * randomness is an argument.
 *
 * It does not: measure anything, decide when to stop (lifecycle), or know what an arm means.
 */
#ifndef HAK_LEARN_ELO_H
#define HAK_LEARN_ELO_H

#include <stdbool.h>
#include <stdint.h>

#define HAK_ELO_ARMS_MAX 8
#define HAK_ELO_RATING_START 1500.0

enum hak_elo_outcome { HAK_ELO_LOSS, HAK_ELO_DRAW, HAK_ELO_WIN };

struct hak_elo {
    uint32_t arms;   /* 1..HAK_ELO_ARMS_MAX */
    double k_factor; /* most points one game can move */
    double rating[HAK_ELO_ARMS_MAX];
    uint32_t wins[HAK_ELO_ARMS_MAX];
    uint32_t losses[HAK_ELO_ARMS_MAX];
    uint32_t draws[HAK_ELO_ARMS_MAX];
};

/* All arms at 1500; arms is cut to the maximum, k_factor <= 0 means 32. */
void hak_elo_init(struct hak_elo *elo, uint32_t arms, double k_factor);

/* The score that a player rated rating should get against one rated against, 0..1. */
double hak_elo_expected(double rating, double against);

/* Who won by cost (lower is better); within draw_band (0.02 = 2 %) of the cheaper it is a draw. */
enum hak_elo_outcome hak_elo_judge(double cost, double against_cost, double draw_band);

/* Plays one game; false, and no change, for an unknown arm or an arm against itself. */
bool hak_elo_play(struct hak_elo *elo, uint32_t arm, uint32_t against,
                  enum hak_elo_outcome outcome);

uint32_t hak_elo_games(const struct hak_elo *elo, uint32_t arm);

/* The best rated arm; the lowest index among equals. */
uint32_t hak_elo_leader(const struct hak_elo *elo);

/* Rating points from the leader down to the second; infinity when there is one arm only. */
double hak_elo_margin(const struct hak_elo *elo);

/*
 * The probability of each arm: (1 - epsilon) softmax(rating / temperature) + epsilon / arms.
 * temperature is in rating points; 0 or less gives all of the softmax to the leader.
 * epsilon is cut to 0..1. The weights sum to 1.
 */
void hak_elo_weights(const struct hak_elo *elo, double temperature, double epsilon,
                     double weight[HAK_ELO_ARMS_MAX]);

/* The arm that uniform, in 0..1 (1 excluded), falls on when the arms lie end to end by weight. */
uint32_t hak_elo_draw(const double *weight, uint32_t arms, double uniform);

/* hak_elo_weights, then hak_elo_draw. */
uint32_t hak_elo_select(const struct hak_elo *elo, double temperature, double epsilon,
                        double uniform);

#endif
