/* lib/learn/signature: bins at the tiers' edges, the L1 distance, what chance explains of it. */
#include "check.h"
#include "learn/signature.h"

static void bins_end_where_the_tiers_do(void) {
    CHECK_EQ(hak_signature_bin(0), 0);
    CHECK_EQ(hak_signature_bin(16), 0);
    CHECK_EQ(hak_signature_bin(17), 1);
    CHECK_EQ(hak_signature_bin(1024), 6); /* the last Tiny size */
    CHECK_EQ(hak_signature_bin(1025), 7);
    CHECK_EQ(hak_signature_bin(32768), 11);
    CHECK_EQ(hak_signature_bin(32769), 12);
    CHECK_EQ(hak_signature_bin(65535), 12);
    CHECK_EQ(hak_signature_bin(65536), 13); /* the first size above a threshold of 64 KiB */
    CHECK_EQ(hak_signature_bin((1 << 20) - 1), 16);
    CHECK_EQ(hak_signature_bin(1 << 20), 17);
    CHECK_EQ(hak_signature_bin(64 << 20), 23);
    CHECK_EQ(hak_signature_bin(UINT64_MAX), 23);
}

static void bins_never_fall_as_sizes_grow(void) {
    uint32_t last = 0;
    for (uint64_t size = 0; size < (1 << 21); size += 1 + size / 1000) {
        uint32_t bin = hak_signature_bin(size);
        CHECK(bin >= last && bin <= last + 1);
        last = bin;
    }
}

static struct hak_signature two_sizes(uint64_t small, uint64_t large) {
    struct hak_signature s;
    hak_signature_clear(&s);
    hak_signature_add(&s, 100, small);
    hak_signature_add(&s, 100000, large);
    return s;
}

static void distance_is_zero_for_equal_shares_and_two_for_disjoint_sizes(void) {
    struct hak_signature a = two_sizes(30, 10), b = two_sizes(3000, 1000);
    struct hak_signature small = two_sizes(7, 0), large = two_sizes(0, 9);
    CHECK_NEAR(hak_signature_distance(&a, &b), 0, 1e-15);
    CHECK_NEAR(hak_signature_distance(&small, &large), 2, 1e-15);
    CHECK_NEAR(hak_signature_distance(&a, &small), 0.5, 1e-15); /* |3/4 - 1| + |1/4 - 0| */
}

static struct hak_signature random_signature(struct check_rng *rng, const double *share, int count,
                                             int samples) {
    struct hak_signature s;
    hak_signature_clear(&s);
    for (int i = 0; i < samples; i++) {
        double u = check_rng_uniform(rng);
        int bin = 0;
        while (bin < count - 1 && u >= share[bin])
            u -= share[bin++];
        hak_signature_add(&s, UINT64_C(32) << bin, 1);
    }
    return s;
}

static const double even[8] = {.125, .125, .125, .125, .125, .125, .125, .125};

static void distance_is_a_metric(void) {
    struct check_rng rng = check_rng_seed(1);
    for (int i = 0; i < 200; i++) {
        struct hak_signature a = random_signature(&rng, even, 8, 40);
        struct hak_signature b = random_signature(&rng, even, 8, 70);
        struct hak_signature c = random_signature(&rng, even, 8, 20);
        double ab = hak_signature_distance(&a, &b), bc = hak_signature_distance(&b, &c);
        double ac = hak_signature_distance(&a, &c);
        CHECK_NEAR(ab, hak_signature_distance(&b, &a), 0);
        CHECK_NEAR(hak_signature_distance(&a, &a), 0, 0);
        CHECK(ac <= ab + bc + 1e-12);
        CHECK_BETWEEN(ab, 0, 2);
    }
}

static void noise_predicts_the_distance_between_samples_of_one_distribution(void) {
    static const int samples[3] = {100, 1000, 5000};
    struct check_rng rng = check_rng_seed(2);
    for (int k = 0; k < 3; k++) {
        double distance = 0, noise = 0;
        for (int i = 0; i < 300; i++) {
            struct hak_signature a = random_signature(&rng, even, 8, samples[k]);
            struct hak_signature b = random_signature(&rng, even, 8, samples[k] * 3);
            distance += hak_signature_distance(&a, &b);
            noise += hak_signature_noise(&a, &b);
        }
        CHECK_BETWEEN(noise / distance, 0.93, 1.07);
    }
}

static void equal_distributions_hardly_ever_show_a_shift(void) {
    struct check_rng rng = check_rng_seed(3);
    int shifted = 0;
    for (int i = 0; i < 2000; i++) {
        struct hak_signature a = random_signature(&rng, even, 8, 256);
        struct hak_signature b = random_signature(&rng, even, 8, 256);
        shifted += hak_signature_shift(&a, &b) > 0;
    }
    CHECK_BETWEEN(shifted, 0, 20); /* one in a hundred shows any, see the threshold in lifecycle */
}

static void a_changed_distribution_shows_a_shift(void) {
    static const double tilted[8] = {.4, .3, .1, .1, .05, .05, 0, 0};
    struct check_rng rng = check_rng_seed(4);
    for (int i = 0; i < 200; i++) {
        struct hak_signature a = random_signature(&rng, even, 8, 2000);
        struct hak_signature b = random_signature(&rng, tilted, 8, 2000);
        CHECK_BETWEEN(hak_signature_shift(&a, &b), 0.6, 0.9); /* in truth 0.9, less 2 noise */
    }
}

static void an_empty_signature_has_no_distance(void) {
    struct hak_signature empty = two_sizes(0, 0), some = two_sizes(1, 1);
    CHECK(isnan(hak_signature_distance(&empty, &some)));
    CHECK(isnan(hak_signature_noise(&some, &empty)));
    CHECK(isnan(hak_signature_shift(&empty, &empty)));
}

static void merging_adds_counts_bin_by_bin(void) {
    struct hak_signature a = two_sizes(3, 1), b = two_sizes(5, 7);
    hak_signature_merge(&a, &b);
    CHECK_EQ(a.total, 16);
    CHECK_EQ(a.count[hak_signature_bin(100)], 8);
    CHECK_EQ(a.count[hak_signature_bin(100000)], 8);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(bins_end_where_the_tiers_do);
    RUN(bins_never_fall_as_sizes_grow);
    RUN(distance_is_zero_for_equal_shares_and_two_for_disjoint_sizes);
    RUN(distance_is_a_metric);
    RUN(noise_predicts_the_distance_between_samples_of_one_distribution);
    RUN(equal_distributions_hardly_ever_show_a_shift);
    RUN(a_changed_distribution_shows_a_shift);
    RUN(an_empty_signature_has_no_distance);
    RUN(merging_adds_counts_bin_by_bin);
    return check_report();
}
