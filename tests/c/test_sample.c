/* front/sample: sampled allocations, drawn by bytes. */
#include "front/sample.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/front.h"
#include "hak.h"

BOOT(seed, "HAKMEM_SAMPLE_SEED=20240517")

static void allocate(size_t bytes, long count) {
    for (long i = 0; i < count; i++) {
        char *block = hak_malloc(bytes);
        *(volatile char *)block = 1;
        hak_free(block);
    }
}

/* What the samples of `count` calls of `bytes` add up to, over what was asked for. */
static double estimate(size_t bytes, long count, int64_t mean, int64_t *samples) {
    SET_KNOB(sample_bytes, mean);
    hak_sample_follow_policy();
    int64_t estimated = COUNT(sampled_bytes), before = COUNT(samples);
    allocate(bytes, count);
    *samples = COUNT(samples) - before;
    return (double)(COUNT(sampled_bytes) - estimated) / ((double)bytes * (double)count);
}

/* Within five standard errors of 1: samples of equal blocks are independent, so the relative
 * error of their sum is 1 / sqrt(samples). Seeded: it does not change from run to run. */
static void check_unbiased(size_t bytes, long count, int64_t mean) {
    int64_t samples;
    double ratio = estimate(bytes, count, mean, &samples);
    if (!CHECK(samples >= 30) || !CHECK((ratio - 1) * (ratio - 1) * (double)samples < 25))
        fprintf(stderr, "  %zu bytes, mean %ld: %ld samples, ratio %f\n", bytes, (long)mean,
                (long)samples, ratio);
}

static void estimates_of_every_tier_are_unbiased(void) {
    static const size_t sizes[] = {1,    8,     24,    100,    1000,   2048,    3000,
                                   9000, 33000, 65536, 300000, 700000, 1500000, 4000000};
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++)
        check_unbiased(sizes[i], (long)rounds_of(sizes[i] < 100000 ? 2000000 : 20000), 100);
}

static void a_mean_above_the_least_step_is_kept_to(void) {
    int64_t samples;
    double ratio = estimate(1000, 4000000, 20000000, &samples); /* 4e9 bytes: 200 expected */
    CHECK(samples > 130 && samples < 270);
    CHECK(ratio > 0.65 && ratio < 1.35);
}

static void a_mean_of_zero_samples_nothing(void) {
    int64_t samples;
    estimate(1000, 200000, 0, &samples);
    CHECK_EQ(samples, 0);
}

static void a_listener_s_mean_is_for_listeners_only(void) {
    int64_t samples;
    SET_KNOB(listen_bytes, (int64_t)1 << 40);
    estimate(1000, 4000000, 20000000, &samples);
    CHECK(samples > 130 && samples < 270);
    estimate(1000, 200000, 0, &samples);
    CHECK_EQ(samples, 0);
    SET_KNOB(listen_bytes, 0);
}

static void what_is_sampled_is_seen_to_be_freed(void) {
    int64_t samples;
    int64_t freed = COUNT(samples_freed), bytes = COUNT(sampled_freed_bytes);
    int64_t taken = COUNT(samples), estimated = COUNT(sampled_bytes);
    estimate(500, 500000, 100, &samples);
    estimate(3000000, 20000, 100, &samples);
    CHECK(COUNT(samples) > taken);
    CHECK_EQ(COUNT(samples_freed) - freed, COUNT(samples) - taken);
    CHECK_EQ(COUNT(sampled_freed_bytes) - bytes, COUNT(sampled_bytes) - estimated);
}

#define HELD 100000

/* Every block that is held has its own place, sampled or not, and live counts come out even. */
static void sampled_blocks_are_blocks_like_others(void) {
    static unsigned char *held[HELD];
    static const size_t sizes[] = {40, 700, 5000};
    SET_KNOB(sample_bytes, 100);
    hak_sample_follow_policy();
    for (size_t s = 0; s < HAK_COUNT_OF(sizes); s++) {
        unsigned class = hak_class_of(sizes[s]);
        long count = HELD / (long)(1 + sizes[s] / 100);
        int64_t samples = COUNT(samples), live = live_of(class);
        for (long i = 0; i < count; i++) {
            held[i] = hak_malloc(sizes[s]);
            CHECK(hak_malloc_usable_size(held[i]) >= sizes[s]);
            memset(held[i], (int)(i * 7 & 0xff), sizes[s]);
        }
        CHECK(COUNT(samples) > samples);
        CHECK_EQ(live_of(class) - live, count);
        for (long i = 0; i < count; i++) {
            if (!CHECK(held[i][0] == (i * 7 & 0xff) && held[i][sizes[s] - 1] == (i * 7 & 0xff)))
                return;
            hak_free(held[i]);
        }
        CHECK_EQ(live_of(class) - live, 0);
    }
}

static void calloc_clears_sampled_blocks_too(void) {
    SET_KNOB(sample_bytes, 100);
    hak_sample_follow_policy();
    for (int i = 0; i < 200000; i++) {
        unsigned char *block = hak_calloc(1, 96);
        for (int at = 0; at < 96; at += 8)
            if (!CHECK_EQ(block[at], 0))
                return;
        memset(block, 0xff, 96);
        hak_free(block);
    }
}

static void a_big_block_of_the_zone_is_told_as_freed(void) {
    int64_t open = COUNT(samples) - COUNT(samples_freed), taken = COUNT(samples);
    SET_KNOB(sample_bytes, 100);
    SET_KNOB(large_mmap, 0);
    hak_sample_follow_policy();
    allocate(3000000, 5000);
    SET_KNOB(large_mmap, 1);
    CHECK(COUNT(samples) > taken);
    CHECK_EQ(COUNT(samples) - COUNT(samples_freed), open);
}

static void a_grown_big_block_is_told_once_as_freed(void) {
    SET_KNOB(sample_bytes, 100);
    hak_sample_follow_policy();
    int64_t open = COUNT(samples) - COUNT(samples_freed);
    for (int i = 0; i < 2000; i++) {
        void *block = hak_malloc(3000000);
        block = hak_realloc(block, 9000000);
        block = hak_realloc(block, 2500000);
        hak_free(block);
    }
    CHECK_EQ(COUNT(samples) - COUNT(samples_freed), open);
}

/* Calls until one is sampled: 4096 on average. */
static uint64_t first_sampled_call(void) {
    int64_t before = COUNT(samples);
    uint64_t calls = 0;
    while (COUNT(samples) == before && calls < 10000000) {
        allocate(200, 1);
        calls++;
    }
    return calls;
}

/* Were children to go on with their parent's draws, all would sample the same calls. */
static void a_forked_child_draws_anew(void) {
    uint64_t first[3] = {0, 0, 0};
    int ends[2];
    SET_KNOB(sample_bytes, 100);
    hak_sample_follow_policy();
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            uint64_t calls = first_sampled_call();
            _exit(write(ends[1], &calls, sizeof calls) != sizeof calls);
        }
        CHECK_EQ(read(ends[0], &first[round], sizeof first[round]), sizeof first[round]);
        waitpid(pid, NULL, 0);
        close(ends[0]);
        close(ends[1]);
    }
    CHECK(first[0] != first[1] || first[1] != first[2]);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(estimates_of_every_tier_are_unbiased);
    RUN(a_mean_above_the_least_step_is_kept_to);
    RUN(a_mean_of_zero_samples_nothing);
    RUN(a_listener_s_mean_is_for_listeners_only);
    RUN(what_is_sampled_is_seen_to_be_freed);
    RUN(sampled_blocks_are_blocks_like_others);
    RUN(calloc_clears_sampled_blocks_too);
    RUN(a_big_block_of_the_zone_is_told_as_freed);
    RUN(a_grown_big_block_is_told_once_as_freed);
    RUN(a_forked_child_draws_anew);
    return check_report();
}
