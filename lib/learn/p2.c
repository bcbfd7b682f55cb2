/* P²: see p2.h. */
#include "p2.h"

#include <math.h>

void hak_p2_init(struct hak_p2 *p2, double quantile) {
    *p2 = (struct hak_p2){.quantile = quantile > 0 && quantile < 1 ? quantile : 0.5};
}

/* Where marker i should stand after count observations: box 1 of the paper, without its sums. */
static double desired_position(const struct hak_p2 *p2, int marker) {
    const double share[5] = {0, p2->quantile / 2, p2->quantile, (1 + p2->quantile) / 2, 1};
    return 1 + (double)(p2->count - 1) * share[marker];
}

/* Keeps the first five observations sorted. */
static void insert_first(struct hak_p2 *p2, double value) {
    int i = (int)p2->count;
    for (; i > 0 && p2->height[i - 1] > value; i--)
        p2->height[i] = p2->height[i - 1];
    p2->height[i] = value;
    p2->position[p2->count] = (double)p2->count + 1;
    p2->count++;
}

/* Counts the value into its cell; a new extreme replaces the end marker. */
static void count_into_cell(struct hak_p2 *p2, double value) {
    int cell = 0;
    if (value < p2->height[0])
        p2->height[0] = value;
    if (value > p2->height[4])
        p2->height[4] = value;
    while (cell < 3 && value >= p2->height[cell + 1])
        cell++;
    for (int i = cell + 1; i < 5; i++)
        p2->position[i]++;
    p2->count++;
}

static double parabolic(const struct hak_p2 *p2, int i, double step) {
    const double *q = p2->height, *n = p2->position;
    return q[i] + step / (n[i + 1] - n[i - 1]) *
                      ((n[i] - n[i - 1] + step) * (q[i + 1] - q[i]) / (n[i + 1] - n[i]) +
                       (n[i + 1] - n[i] - step) * (q[i] - q[i - 1]) / (n[i] - n[i - 1]));
}

static double linear(const struct hak_p2 *p2, int i, int step) {
    const double *q = p2->height, *n = p2->position;
    return q[i] + step * (q[i + step] - q[i]) / (n[i + step] - n[i]);
}

/* Moves one inner marker by at most one place; never onto its neighbour's place. */
static void adjust_marker(struct hak_p2 *p2, int i) {
    double drift = desired_position(p2, i) - p2->position[i];
    int step;
    if (drift >= 1 && p2->position[i + 1] - p2->position[i] > 1)
        step = 1;
    else if (drift <= -1 && p2->position[i - 1] - p2->position[i] < -1)
        step = -1;
    else
        return;
    double moved = parabolic(p2, i, step);
    if (!(p2->height[i - 1] < moved && moved < p2->height[i + 1]))
        moved = linear(p2, i, step);
    p2->height[i] = moved;
    p2->position[i] += step;
}

bool hak_p2_add(struct hak_p2 *p2, double value) {
    if (!isfinite(value))
        return false;
    if (p2->count < 5) {
        insert_first(p2, value);
        return true;
    }
    count_into_cell(p2, value);
    for (int i = 1; i <= 3; i++)
        adjust_marker(p2, i);
    return true;
}

double hak_p2_value(const struct hak_p2 *p2) {
    if (p2->count == 0)
        return NAN;
    if (p2->count > 5)
        return p2->height[2];
    /* Nearest rank: the smallest value with at least quantile * count observations at or below. */
    double wanted = p2->quantile * (double)p2->count;
    int rank = 1;
    while ((double)rank < wanted)
        rank++;
    return p2->height[rank - 1];
}
