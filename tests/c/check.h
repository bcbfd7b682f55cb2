/*
 * check.h - a test program in C: what a test checks, what it prints, where its chance comes from.
 *
 * Every program under tests/c/ is standalone: it includes this header, writes one static function
 * per test, named as a sentence, and runs them from main:
 *
 *     static void a_pushed_block_is_popped_again(void) { CHECK(pop(&list) == block); }
 *     int main(void) { RUN(a_pushed_block_is_popped_again); return check_report(); }
 *
 * A failed check prints file, line, expression and values on stderr and the test goes on; the test
 * counts as failed once. The last line on stdout is "N passed, N failed"; the exit code is 1 if
 * anything failed. An argument on the command line (CHECK_MAIN) runs only the tests whose sentence
 * contains it. All state is static to the program: call the macros from one thread; threads of a
 * test hand their findings back to it.
 *
 * It does not: fork, time out, allocate, or start anything before main.
 */
#ifndef HAK_TESTS_CHECK_H
#define HAK_TESTS_CHECK_H

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static struct {
    int passed;
    int failed;
    int skipped;
    bool test_failed;
    const char *skip_reason;
    const char *only; /* run only sentences that contain this; NULL runs all */
} check_state;

__attribute__((unused)) static void check_fail(const char *file, int line, const char *what) {
    check_state.test_failed = true;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

/* True when the check held, so that a test can stop: if (!CHECK(p != NULL)) return; */
#define CHECK(condition) check_true(__FILE__, __LINE__, "not true: " #condition, (condition))

/* got and want are integers of any type up to 64 bits. */
#define CHECK_EQ(got, want) \
    check_equal(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))

/* |got - want| <= tolerance; a NaN on either side fails. */
#define CHECK_NEAR(got, want, tolerance) \
    check_near(__FILE__, __LINE__, #got, (double)(got), (double)(want), (double)(tolerance))

/* low <= got <= high; a NaN fails. */
#define CHECK_BETWEEN(got, low, high) \
    check_between(__FILE__, __LINE__, #got, (double)(got), (double)(low), (double)(high))

#define CHECK_TEXT(got, want) check_text(__FILE__, __LINE__, #got, (got), (want))

__attribute__((unused)) static bool check_true(const char *file, int line, const char *what,
                                               bool held) {
    if (!held)
        check_fail(file, line, what);
    return held;
}

__attribute__((unused)) static bool check_equal(const char *file, int line, const char *what,
                                                int64_t got, int64_t want) {
    char text[256];
    if (got == want)
        return true;
    snprintf(text, sizeof text, "%s is %" PRId64 ", wanted %" PRId64, what, got, want);
    check_fail(file, line, text);
    return false;
}

__attribute__((unused)) static bool check_near(const char *file, int line, const char *what,
                                               double got, double want, double tolerance) {
    char text[256];
    if (fabs(got - want) <= tolerance)
        return true;
    snprintf(text, sizeof text, "%s is %.17g, wanted %.17g +- %.3g", what, got, want, tolerance);
    check_fail(file, line, text);
    return false;
}

__attribute__((unused)) static bool check_between(const char *file, int line, const char *what,
                                                  double got, double low, double high) {
    char text[256];
    if (got >= low && got <= high)
        return true;
    snprintf(text, sizeof text, "%s is %.17g, wanted %.9g..%.9g", what, got, low, high);
    check_fail(file, line, text);
    return false;
}

__attribute__((unused)) static bool check_text(const char *file, int line, const char *what,
                                               const char *got, const char *want) {
    char text[512];
    if (got && want && strcmp(got, want) == 0)
        return true;
    snprintf(text, sizeof text, "%s is \"%.200s\", wanted \"%.200s\"", what, got ? got : "(null)",
             want ? want : "(null)");
    check_fail(file, line, text);
    return false;
}

/* Marks the running test as skipped; only for what the machine truly lacks, with the reason. */
#define SKIP(reason)                        \
    do {                                    \
        check_state.skip_reason = (reason); \
        return;                             \
    } while (0)

#define RUN(test) check_run(#test, test)

__attribute__((unused)) static void check_run(const char *name, void (*test)(void)) {
    char sentence[200];
    size_t i;
    for (i = 0; name[i] && i + 1 < sizeof sentence; i++)
        sentence[i] = name[i] == '_' ? ' ' : name[i];
    sentence[i] = '\0';
    if (check_state.only && !strstr(sentence, check_state.only))
        return;
    check_state.test_failed = false;
    check_state.skip_reason = NULL;
    test();
    if (check_state.test_failed) {
        check_state.failed++;
        printf("FAILED   %s\n", sentence);
    } else if (check_state.skip_reason) {
        check_state.skipped++;
        printf("skipped  %s: %s\n", sentence, check_state.skip_reason);
    } else {
        check_state.passed++;
        printf("ok       %s\n", sentence);
    }
    fflush(stdout); /* what ran stays visible if the next test crashes */
}

/* For main(int argc, char **argv): takes the optional part of a sentence to run. */
#define CHECK_MAIN(argc, argv) (check_state.only = (argc) > 1 ? (argv)[1] : NULL)

/* Prints the closing line; the exit code of the program. */
__attribute__((unused)) static int check_report(void) {
    if (check_state.skipped)
        printf("%d skipped\n", check_state.skipped);
    printf("%d passed, %d failed\n", check_state.passed, check_state.failed);
    return check_state.failed ? 1 : 0;
}

/*
 * Seeded chance: SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014). One state per thread; the same seed gives the same run everywhere.
 */
struct check_rng {
    uint64_t state;
};

__attribute__((unused)) static struct check_rng check_rng_seed(uint64_t seed) {
    return (struct check_rng){.state = seed};
}

__attribute__((unused)) static uint64_t check_rng_u64(struct check_rng *rng) {
    uint64_t x = rng->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Uniform in 0..1, 1 excluded. */
__attribute__((unused)) static double check_rng_uniform(struct check_rng *rng) {
    return (double)(check_rng_u64(rng) >> 11) * 0x1p-53;
}

/* Uniform in low..high, both included; the modulo bias is under (high - low) / 2^64. */
__attribute__((unused)) static uint64_t check_rng_between(struct check_rng *rng, uint64_t low,
                                                          uint64_t high) {
    uint64_t span = high - low + 1;
    return span ? low + check_rng_u64(rng) % span : check_rng_u64(rng);
}

#endif
