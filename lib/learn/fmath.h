/*
 * fmath.h - exp, log, sqrt and 10^x for the learner, so that the library needs no libm.
 *
 * Owned by nobody: pure functions of their arguments, callable from any thread. Not for hot paths
 * (tens of nanoseconds each). They set no errno and no rounding mode.
 *
 * Error, checked by test_learn_fmath against libm: relative error at most 4e-15 for exp over
 * the normal range and for sqrt, absolute error at most 4e-16 * max(1, |log x|) for log, relative
 * error at most 4e-15 * max(1, |x|) for 10^x.
 *
 * Method: argument reduction by powers of two, then the Taylor series of e^r on |r| <= ln(2)/2,
 * the series of 2 artanh(s), and Newton's iteration (M. Abramowitz and I. Stegun, "Handbook of
 * Mathematical Functions", 1964, 4.2.1, 4.1.27, 3.9.5).
 */
#ifndef HAK_LEARN_FMATH_H
#define HAK_LEARN_FMATH_H

#include <math.h> /* NAN, INFINITY, isnan, isfinite: macros, nothing to link */
#include <stdint.h>
#include <string.h>

#define HAK_FMATH_LN2 0.69314718055994530942
#define HAK_FMATH_LN10 2.30258509299404568402

/* 2^exponent, exponent in -1022..1023. */
static inline double hak_fmath_power_of_two(int exponent) {
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e^x; NaN stays NaN; overflow is infinity, underflow 0. */
static inline double hak_fmath_exp(double x) {
    /* ln 2 in two parts: the high one has 33 zero bits at its end, so k * high is exact. */
    const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    if (isnan(x))
        return x;
    if (x > 709.782712893384)
        return INFINITY;
    if (x < -745.2)
        return 0;
    int k = (int)(x / HAK_FMATH_LN2 + (x < 0 ? -0.5 : 0.5));
    double r = (x - k * ln2_high) - k * ln2_low;
    /* Horner; the first term left out, r^14/14!, is below 5e-18. */
    double sum = 1;
    for (int n = 13; n >= 1; n--)
        sum = 1 + sum * r / n;
    /* In two factors: 2^1024 and the subnormal powers are no doubles of their own. */
    return sum * hak_fmath_power_of_two(k / 2) * hak_fmath_power_of_two(k - k / 2);
}

/* Natural logarithm; 0 gives -infinity, below 0 NaN. */
static inline double hak_fmath_log(double x) {
    const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    if (isnan(x) || x < 0)
        return NAN;
    if (x == 0)
        return -INFINITY;
    if (!isfinite(x))
        return x;
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    k += (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m); /* 1 <= m < 2 */
    if (m > 1.4142135623730951) {
        m /= 2;
        k++;
    }
    /* ln m = 2 artanh(s), |s| <= 0.1716; the first term left out is below 1e-18. */
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int n = 21; n >= 3; n -= 2)
        sum = (sum + 1.0 / n) * square;
    return k * ln2_high + (2 * s + (2 * s * sum + k * ln2_low));
}

/* Square root; below 0 gives NaN. */
static inline double hak_fmath_sqrt(double x) {
    if (isnan(x) || x < 0)
        return NAN;
    if (x == 0 || !isfinite(x))
        return x;
    double scale = 1;
    if (x < 0x1p-1022) {
        x *= 0x1p108;
        scale = 0x1p-54;
    }
    /* Halving the bits halves the exponent: within 7 %; a step squares the error and halves it. */
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits >> 1) + (UINT64_C(1023) << 51);
    double root;
    memcpy(&root, &bits, sizeof root);
    for (int step = 0; step < 4; step++)
        root = 0.5 * (root + x / root);
    return root * scale;
}

/* 10^x, by e^(x ln 10). */
static inline double hak_fmath_power_of_ten(double x) { return hak_fmath_exp(x * HAK_FMATH_LN10); }

#endif
