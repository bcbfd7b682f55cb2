/*
 * dyn1.h - which size the extra Mid class (DYN1) should have, from what is asked for.
 *
 * A class of size s between two regular ones serves the requests above the next smaller class and
 * up to s, which would else be cut from the next larger one; each saves the difference. Sizes go
 * by 1 KiB, as the class table does. The best one is that which saves the most bytes; it is worth
 * a try when it saves `min_share` of all bytes that Mid serves, and when enough was asked for.
 * That is all the knowledge there is: of the requests, not of how long their blocks live. So
 * what comes of it is a candidate, which trials.h puts to the test.
 *
 * The learner thread's. No I/O, no clock, no allocation.
 *
 * It does not: count requests (front/deal does), or switch the class on.
 */
#ifndef HAK_LEARN_DYN1_H
#define HAK_LEARN_DYN1_H

#include <stdint.h>

#define HAK_DYN1_BINS 33 /* bin k: requests above k - 1 and up to k KiB, Mid's alone */

struct hak_dyn1_config {
    uint64_t min_requests; /* in the histogram, before a size is named */
    double min_share;      /* of Mid's bytes, 0..1 */
};

/* 4096 requests, 8 %: the gain that a trial must show. */
struct hak_dyn1_config hak_dyn1_config_default(void);

struct hak_dyn1_choice {
    uint32_t size_bytes; /* 0: none is worth it */
    double saved_share;  /* of Mid's bytes, by the requests counted */
};

/* class_bytes: the regular classes' sizes, ascending, from the largest of Tiny on. */
struct hak_dyn1_choice hak_dyn1_choose(const struct hak_dyn1_config *config,
                                       const uint64_t requests[HAK_DYN1_BINS],
                                       const uint32_t *class_bytes, uint32_t classes);

#endif
