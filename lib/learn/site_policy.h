/*
 * site_policy.h - what a call site is for, inferred from what it has asked for, and how well.
 *
 * The bins of the size histogram (signature.h) end where the tiers do, so the share of requests in
 * each tier is exact. A site whose requests lie in one tier by `dominance` belongs to it:
 *
 *   Tiny, and at least `frequent_count` requests          SMALL_FREQUENT
 *   between Tiny and the big threshold                    MEDIUM
 *   from the big threshold up                             LARGE_INFREQUENT
 *   too few requests, a mixture, or Tiny but rare         DEFAULT
 *
 * A site of small blocks whose mean is above `small_mean_max_bytes` moves most of its bytes in
 * rare large blocks: DEFAULT too. The rule is the project's own; the call site as the unit of
 * prediction is D. Barrett and B. Zorn, "Using lifetime predictors to improve memory allocation
 * performance", PLDI 1993. The score is a confusion matrix with precision and recall per class
 * (C. van Rijsbergen, "Information Retrieval", 1979, chapter 7).
 *
 * Pure functions of their arguments; a summary or a matrix belongs to the thread that holds it. No
 * I/O, no allocation, no clock.
 *
 * It does not: keep the table of sites (core/sites), or act on a policy.
 */
#ifndef HAK_LEARN_SITE_POLICY_H
#define HAK_LEARN_SITE_POLICY_H

#include "signature.h"

enum hak_site_policy {
    HAK_SITE_DEFAULT,
    HAK_SITE_SMALL_FREQUENT,
    HAK_SITE_MEDIUM,
    HAK_SITE_LARGE_INFREQUENT,
    HAK_SITE_POLICIES /* how many */
};

struct hak_site_policy_config {
    uint64_t min_count;            /* requests before anything is inferred */
    uint64_t frequent_count;       /* requests that make small ones frequent */
    double dominance;              /* share of requests that decides, 0.5..1 */
    uint64_t small_mean_max_bytes; /* a mean above this is not a site of small blocks */
    uint64_t big_min_bytes;        /* a power of two from 64 KiB up: where L2 begins */
};

/* 8 requests, 64, 0.8, 4 KiB, 1 MiB. */
struct hak_site_policy_config hak_site_policy_config_default(void);

/* What one site has asked for; a single writer at a time. */
struct hak_site_summary {
    uint64_t count;     /* requests */
    uint64_t bytes;     /* sum of their sizes */
    uint64_t max_bytes; /* the largest */
    struct hak_signature sizes;
};

void hak_site_summary_add(struct hak_site_summary *summary, uint64_t size_bytes);

/* Mean size in bytes; NaN while there was no request. */
double hak_site_summary_mean_bytes(const struct hak_site_summary *summary);

enum hak_site_policy hak_site_policy_infer(const struct hak_site_policy_config *config,
                                           const struct hak_site_summary *summary);

/* "DEFAULT", "SMALL_FREQUENT", "MEDIUM", "LARGE_INFREQUENT". */
const char *hak_site_policy_name(enum hak_site_policy policy);

/* How often a site labelled row was inferred to be column. */
struct hak_site_confusion {
    uint64_t cell[HAK_SITE_POLICIES][HAK_SITE_POLICIES];
};

/* Ignores a value that is no policy. */
void hak_site_confusion_add(struct hak_site_confusion *confusion, enum hak_site_policy label,
                            enum hak_site_policy inferred);

/* Share of sites inferred as labelled; NaN without sites. */
double hak_site_confusion_accuracy(const struct hak_site_confusion *confusion);

/* Of the sites inferred to be policy, the share so labelled; NaN when none was inferred. */
double hak_site_confusion_precision(const struct hak_site_confusion *confusion,
                                    enum hak_site_policy policy);

/* Of the sites labelled policy, the share so inferred; NaN when none is so labelled. */
double hak_site_confusion_recall(const struct hak_site_confusion *confusion,
                                 enum hak_site_policy policy);

#endif
