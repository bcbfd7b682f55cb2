/* lib/learn/fmath.h against libm, within the errors its header states. Links with -lm. */
#include "check.h"
#include "learn/fmath.h"

static double relative(double got, double want) { return fabs(got - want) / fabs(want); }

/* A double with a random mantissa and an exponent of low..high. */
static double random_double(struct check_rng *rng, int low, int high) {
    int exponent = low + (int)check_rng_between(rng, 0, (uint64_t)(high - low));
    return ldexp(1 + check_rng_uniform(rng), exponent);
}

static void exp_agrees_with_libm_over_the_normal_range(void) {
    struct check_rng rng = check_rng_seed(1);
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        double x = -708 + 1417 * check_rng_uniform(&rng);
        worst = fmax(worst, relative(hak_fmath_exp(x), exp(x)));
    }
    CHECK_BETWEEN(worst, 0, 4e-15);
}

static void exp_keeps_its_edges(void) {
    CHECK_EQ(hak_fmath_exp(0) == 1, 1);
    CHECK(isinf(hak_fmath_exp(710)));
    CHECK(isinf(hak_fmath_exp(INFINITY)));
    CHECK(isfinite(hak_fmath_exp(709.78)));
    CHECK_EQ(hak_fmath_exp(-746) == 0, 1);
    CHECK_EQ(hak_fmath_exp(-INFINITY) == 0, 1);
    CHECK_NEAR(hak_fmath_exp(-740), exp(-740), 5e-324); /* subnormal: one unit in the last place */
    CHECK(isnan(hak_fmath_exp(NAN)));
}

static void log_agrees_with_libm_from_subnormal_to_huge(void) {
    struct check_rng rng = check_rng_seed(2);
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        double x = i % 2 ? random_double(&rng, -1074, 1023) : random_double(&rng, -2, 1);
        double want = log(x);
        worst = fmax(worst, fabs(hak_fmath_log(x) - want) / fmax(1, fabs(want)));
    }
    CHECK_BETWEEN(worst, 0, 4e-16);
}

static void log_keeps_its_edges(void) {
    CHECK_EQ(hak_fmath_log(1) == 0, 1);
    CHECK(hak_fmath_log(0) == -INFINITY);
    CHECK(hak_fmath_log(INFINITY) == INFINITY);
    CHECK(isnan(hak_fmath_log(-1)));
    CHECK(isnan(hak_fmath_log(NAN)));
}

static void sqrt_agrees_with_libm_from_subnormal_to_huge(void) {
    struct check_rng rng = check_rng_seed(3);
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        double x = random_double(&rng, -1074, 1023);
        worst = fmax(worst, relative(hak_fmath_sqrt(x), sqrt(x)));
    }
    CHECK_BETWEEN(worst, 0, 4e-15);
    CHECK_EQ(hak_fmath_sqrt(0) == 0, 1);
    CHECK(isnan(hak_fmath_sqrt(-1)));
    CHECK(hak_fmath_sqrt(INFINITY) == INFINITY);
}

static void power_of_ten_agrees_with_libm(void) {
    struct check_rng rng = check_rng_seed(4);
    double worst = 0;
    for (int i = 0; i < 100000; i++) {
        double x = -300 + 600 * check_rng_uniform(&rng);
        worst = fmax(worst, relative(hak_fmath_power_of_ten(x), pow(10, x)) / fmax(1, fabs(x)));
    }
    CHECK_BETWEEN(worst, 0, 4e-15);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(exp_agrees_with_libm_over_the_normal_range);
    RUN(exp_keeps_its_edges);
    RUN(log_agrees_with_libm_from_subnormal_to_huge);
    RUN(log_keeps_its_edges);
    RUN(sqrt_agrees_with_libm_from_subnormal_to_huge);
    RUN(power_of_ten_agrees_with_libm);
    return check_report();
}
