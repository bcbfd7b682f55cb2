/* lib/learn/site_policy: inference on labelled sites, and its confusion matrix. */
#include "check.h"
#include "learn/site_policy.h"

static enum hak_site_policy infer(const struct hak_site_summary *summary) {
    struct hak_site_policy_config config = hak_site_policy_config_default();
    return hak_site_policy_infer(&config, summary);
}

static struct hak_site_summary site_of(uint64_t size_bytes, int requests) {
    struct hak_site_summary s = {0};
    for (int i = 0; i < requests; i++)
        hak_site_summary_add(&s, size_bytes);
    return s;
}

static enum hak_site_policy policy_of(uint64_t size_bytes, int requests) {
    struct hak_site_summary s = site_of(size_bytes, requests);
    return infer(&s);
}

static void a_summary_keeps_count_bytes_mean_and_max(void) {
    struct hak_site_summary s = {0};
    CHECK(isnan(hak_site_summary_mean_bytes(&s)));
    hak_site_summary_add(&s, 100);
    hak_site_summary_add(&s, 300);
    hak_site_summary_add(&s, 200);
    CHECK_EQ(s.count, 3);
    CHECK_EQ(s.bytes, 600);
    CHECK_EQ(s.max_bytes, 300);
    CHECK_NEAR(hak_site_summary_mean_bytes(&s), 200, 0);
    CHECK_EQ(s.sizes.total, 3);
}

static void policies_change_exactly_at_the_tiers_edges(void) {
    CHECK_EQ(policy_of(1024, 100), HAK_SITE_SMALL_FREQUENT);
    CHECK_EQ(policy_of(1025, 100), HAK_SITE_MEDIUM);
    CHECK_EQ(policy_of((1 << 20) - 1, 100), HAK_SITE_MEDIUM);
    CHECK_EQ(policy_of(1 << 20, 100), HAK_SITE_LARGE_INFREQUENT);
}

static void a_learned_threshold_moves_the_edge_of_large(void) {
    struct hak_site_policy_config config = hak_site_policy_config_default();
    struct hak_site_summary s = site_of(300 << 10, 50);
    CHECK_EQ(hak_site_policy_infer(&config, &s), HAK_SITE_MEDIUM);
    config.big_min_bytes = 256 << 10;
    CHECK_EQ(hak_site_policy_infer(&config, &s), HAK_SITE_LARGE_INFREQUENT);
}

static void too_few_requests_infer_nothing(void) {
    CHECK_EQ(policy_of(2 << 20, 7), HAK_SITE_DEFAULT);
    CHECK_EQ(policy_of(2 << 20, 8), HAK_SITE_LARGE_INFREQUENT);
    CHECK_EQ(policy_of(64, 0), HAK_SITE_DEFAULT);
    CHECK_EQ(policy_of(64, 63), HAK_SITE_DEFAULT); /* small, but not frequent */
    CHECK_EQ(policy_of(64, 64), HAK_SITE_SMALL_FREQUENT);
}

static void a_mixture_of_tiers_is_default(void) {
    struct hak_site_summary s = {0};
    for (int i = 0; i < 100; i++)
        hak_site_summary_add(&s, i % 3 == 0 ? 100 : i % 3 == 1 ? 20000 : 3 << 20);
    CHECK_EQ(infer(&s), HAK_SITE_DEFAULT);
}

static void a_few_outliers_do_not_change_the_policy(void) {
    struct hak_site_summary s = site_of(20000, 90);
    for (int i = 0; i < 10; i++)
        hak_site_summary_add(&s, i % 2 ? 64 : 4 << 20);
    CHECK_EQ(infer(&s), HAK_SITE_MEDIUM);
}

static void small_requests_with_rare_huge_ones_are_not_a_site_of_small_blocks(void) {
    struct hak_site_summary s = site_of(64, 990);
    for (int i = 0; i < 10; i++)
        hak_site_summary_add(&s, 4 << 20); /* 1 % of the requests, 99.8 % of the bytes */
    CHECK_EQ(infer(&s), HAK_SITE_DEFAULT);
}

/* A labelled site: sizes log-uniform in a range, requests in a range. */
static const struct {
    enum hak_site_policy label;
    uint64_t low_bytes, high_bytes, low_count, high_count;
} kind[] = {
    {HAK_SITE_SMALL_FREQUENT, 16, 1024, 200, 2000},
    {HAK_SITE_SMALL_FREQUENT, 64, 512, 100, 500},
    {HAK_SITE_MEDIUM, 2048, 65536, 10, 500},
    {HAK_SITE_MEDIUM, 65536, 786432, 10, 100},
    {HAK_SITE_LARGE_INFREQUENT, 1 << 20, 32 << 20, 8, 60},
    {HAK_SITE_DEFAULT, 64, 16 << 20, 20, 500},
    {HAK_SITE_DEFAULT, 16, 1024, 1, 40},
};

static void labelled_sites_are_inferred_nine_times_out_of_ten(void) {
    struct hak_site_confusion confusion = {{{0}}};
    struct check_rng rng = check_rng_seed(1);
    for (int i = 0; i < 7 * 300; i++) {
        int k = i % 7;
        struct hak_site_summary s = {0};
        uint64_t count = check_rng_between(&rng, kind[k].low_count, kind[k].high_count);
        for (uint64_t n = 0; n < count; n++) {
            uint64_t size_bytes = kind[k].low_bytes; /* doubles at random: log-uniform enough */
            while (size_bytes * 2 <= kind[k].high_bytes && check_rng_uniform(&rng) < 0.8)
                size_bytes *= 2;
            size_bytes += check_rng_between(&rng, 0, size_bytes / 2);
            hak_site_summary_add(&s, size_bytes < kind[k].high_bytes ? size_bytes
                                                                     : kind[k].high_bytes);
        }
        hak_site_confusion_add(&confusion, kind[k].label, infer(&s));
    }
    CHECK_BETWEEN(hak_site_confusion_accuracy(&confusion), 0.9, 1);
    for (int i = 0; i < HAK_SITE_POLICIES; i++) {
        enum hak_site_policy policy = (enum hak_site_policy)i;
        CHECK_BETWEEN(hak_site_confusion_precision(&confusion, policy), 0.8, 1);
        CHECK_BETWEEN(hak_site_confusion_recall(&confusion, policy), 0.8, 1);
    }
}

static void accuracy_precision_and_recall_follow_their_definitions(void) {
    struct hak_site_confusion c = {{{0}}};
    for (int i = 0; i < 6; i++)
        hak_site_confusion_add(&c, HAK_SITE_MEDIUM, HAK_SITE_MEDIUM);
    for (int i = 0; i < 2; i++)
        hak_site_confusion_add(&c, HAK_SITE_MEDIUM, HAK_SITE_DEFAULT);
    for (int i = 0; i < 3; i++)
        hak_site_confusion_add(&c, HAK_SITE_DEFAULT, HAK_SITE_MEDIUM);
    hak_site_confusion_add(&c, HAK_SITE_DEFAULT, HAK_SITE_DEFAULT);
    hak_site_confusion_add(&c, HAK_SITE_POLICIES, HAK_SITE_DEFAULT); /* no policy: ignored */
    CHECK_NEAR(hak_site_confusion_accuracy(&c), 7.0 / 12, 1e-15);
    CHECK_NEAR(hak_site_confusion_precision(&c, HAK_SITE_MEDIUM), 6.0 / 9, 1e-15);
    CHECK_NEAR(hak_site_confusion_recall(&c, HAK_SITE_MEDIUM), 6.0 / 8, 1e-15);
}

static void a_score_without_sites_is_missing(void) {
    struct hak_site_confusion c = {{{0}}};
    CHECK(isnan(hak_site_confusion_accuracy(&c)));
    CHECK(isnan(hak_site_confusion_precision(&c, HAK_SITE_MEDIUM)));
    CHECK(isnan(hak_site_confusion_recall(&c, HAK_SITE_MEDIUM)));
}

static void policies_have_the_names_of_the_specification(void) {
    CHECK_TEXT(hak_site_policy_name(HAK_SITE_DEFAULT), "DEFAULT");
    CHECK_TEXT(hak_site_policy_name(HAK_SITE_SMALL_FREQUENT), "SMALL_FREQUENT");
    CHECK_TEXT(hak_site_policy_name(HAK_SITE_MEDIUM), "MEDIUM");
    CHECK_TEXT(hak_site_policy_name(HAK_SITE_LARGE_INFREQUENT), "LARGE_INFREQUENT");
    CHECK_TEXT(hak_site_policy_name((enum hak_site_policy)77), "unknown");
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_summary_keeps_count_bytes_mean_and_max);
    RUN(policies_change_exactly_at_the_tiers_edges);
    RUN(a_learned_threshold_moves_the_edge_of_large);
    RUN(too_few_requests_infer_nothing);
    RUN(a_mixture_of_tiers_is_default);
    RUN(a_few_outliers_do_not_change_the_policy);
    RUN(small_requests_with_rare_huge_ones_are_not_a_site_of_small_blocks);
    RUN(labelled_sites_are_inferred_nine_times_out_of_ten);
    RUN(accuracy_precision_and_recall_follow_their_definitions);
    RUN(a_score_without_sites_is_missing);
    RUN(policies_have_the_names_of_the_specification);
    return check_report();
}
