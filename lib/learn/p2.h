/*
 * p2.h - one quantile of a stream, in constant memory and without sorting it (P²).
 *
 * R. Jain and I. Chlamtac, "The P² algorithm for dynamic calculation of quantiles and histograms
 * without storing observations", Communications of the ACM 28(10), 1985. Five markers follow the
 * minimum, p/2, p, (1+p)/2 and the maximum; a marker that has drifted a whole place from where it
 * should stand is moved along a parabola through its neighbours:
 *
 *   q' = q + d/(n+ - n-) * [ (n - n- + d)(q+ - q)/(n+ - n) + (n+ - n - d)(q - q-)/(n - n-) ]
 *
 * or along a straight line where the parabola would break the markers' order.
 *
 * Owned by whoever holds the struct, for one thread at a time (the learner's). No I/O, no clock,
 * no allocation. Estimates cannot be merged: feed one estimator from one stream.
 *
 * It does not: keep the observations, forget old ones (init again for a new window), or give an
 * error bound. Over 100000 values of five distributions p90 to p99 stayed within 0.002 in rank
 * (p99 within 0.0003) and the median within 0.005, between two heaps within 0.01
 * (test_learn_p2).
 */
#ifndef HAK_LEARN_P2_H
#define HAK_LEARN_P2_H

#include <stdbool.h>
#include <stdint.h>

struct hak_p2 {
    double quantile;    /* which one, 0 < quantile < 1; 0.99 is p99 */
    double height[5];   /* marker values, in order; the unit is the caller's */
    double position[5]; /* how many observations lie at or below each marker, 1..count */
    uint64_t count;     /* finite observations so far */
};

/* Starts an empty stream. quantile outside 0..1 (both excluded) is taken as 0.5. */
void hak_p2_init(struct hak_p2 *p2, double quantile);

/* Adds one observation; false, and no change, if it is NaN or infinite. */
bool hak_p2_add(struct hak_p2 *p2, double value);

/* The estimate; NaN while nothing has been added, exact (nearest rank) up to five observations. */
double hak_p2_value(const struct hak_p2 *p2);

#endif
