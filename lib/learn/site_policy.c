/* Call-site policy: see site_policy.h. */
#include "site_policy.h"

#include <math.h>
#include <stdbool.h>

#define TINY_MAX_BYTES 1024 /* L0 takes up to and including 1 KiB */

struct hak_site_policy_config hak_site_policy_config_default(void) {
    return (struct hak_site_policy_config){.min_count = 8,
                                           .frequent_count = 64,
                                           .dominance = 0.8,
                                           .small_mean_max_bytes = 4096,
                                           .big_min_bytes = UINT64_C(1) << 20};
}

void hak_site_summary_add(struct hak_site_summary *summary, uint64_t size_bytes) {
    summary->count++;
    summary->bytes += size_bytes;
    if (size_bytes > summary->max_bytes)
        summary->max_bytes = size_bytes;
    hak_signature_add(&summary->sizes, size_bytes, 1);
}

double hak_site_summary_mean_bytes(const struct hak_site_summary *summary) {
    return summary->count ? (double)summary->bytes / (double)summary->count : NAN;
}

/* Requests in bins first..last. */
static uint64_t requests(const struct hak_signature *sizes, uint32_t first, uint32_t last) {
    uint64_t sum = 0;
    for (uint32_t bin = first; bin <= last; bin++)
        sum += sizes->count[bin];
    return sum;
}

enum hak_site_policy hak_site_policy_infer(const struct hak_site_policy_config *config,
                                           const struct hak_site_summary *summary) {
    const struct hak_signature *sizes = &summary->sizes;
    uint32_t tiny_last = hak_signature_bin(TINY_MAX_BYTES);
    uint32_t big_first = hak_signature_bin(config->big_min_bytes);
    if (sizes->total == 0 || summary->count < config->min_count)
        return HAK_SITE_DEFAULT;
    double wanted = config->dominance * (double)sizes->total;
    if ((double)requests(sizes, 0, tiny_last) >= wanted) {
        bool small = hak_site_summary_mean_bytes(summary) <= (double)config->small_mean_max_bytes;
        return small && summary->count >= config->frequent_count ? HAK_SITE_SMALL_FREQUENT
                                                                 : HAK_SITE_DEFAULT;
    }
    if ((double)requests(sizes, tiny_last + 1, big_first - 1) >= wanted)
        return HAK_SITE_MEDIUM;
    if ((double)requests(sizes, big_first, HAK_SIGNATURE_BINS - 1) >= wanted)
        return HAK_SITE_LARGE_INFREQUENT;
    return HAK_SITE_DEFAULT;
}

const char *hak_site_policy_name(enum hak_site_policy policy) {
    static const char *const name[HAK_SITE_POLICIES] = {"DEFAULT", "SMALL_FREQUENT", "MEDIUM",
                                                        "LARGE_INFREQUENT"};
    return (unsigned)policy < HAK_SITE_POLICIES ? name[policy] : "unknown";
}

void hak_site_confusion_add(struct hak_site_confusion *confusion, enum hak_site_policy label,
                            enum hak_site_policy inferred) {
    if ((unsigned)label < HAK_SITE_POLICIES && (unsigned)inferred < HAK_SITE_POLICIES)
        confusion->cell[label][inferred]++;
}

static double ratio(uint64_t part, uint64_t whole) {
    return whole ? (double)part / (double)whole : NAN;
}

double hak_site_confusion_accuracy(const struct hak_site_confusion *confusion) {
    uint64_t right = 0, all = 0;
    for (int label = 0; label < HAK_SITE_POLICIES; label++)
        for (int inferred = 0; inferred < HAK_SITE_POLICIES; inferred++) {
            all += confusion->cell[label][inferred];
            right += label == inferred ? confusion->cell[label][inferred] : 0;
        }
    return ratio(right, all);
}

double hak_site_confusion_precision(const struct hak_site_confusion *confusion,
                                    enum hak_site_policy policy) {
    uint64_t inferred = 0;
    for (int label = 0; label < HAK_SITE_POLICIES; label++)
        inferred += confusion->cell[label][policy];
    return ratio(confusion->cell[policy][policy], inferred);
}

double hak_site_confusion_recall(const struct hak_site_confusion *confusion,
                                 enum hak_site_policy policy) {
    uint64_t labelled = 0;
    for (int inferred = 0; inferred < HAK_SITE_POLICIES; inferred++)
        labelled += confusion->cell[policy][inferred];
    return ratio(confusion->cell[policy][policy], labelled);
}
