/*
 * deal.h - while something is to be learnt about the mmap threshold, requests from the
 * lowest arm to the highest are dealt out to arms, and what they cost is written down.
 *
 * The arm is drawn before the request is served and decides who serves it. A free or a
 * realloc is put down to an arm that would have served the block where it lies. Any thread
 * deals; the learner alone reads the measurements. Nothing here runs while the policy deals
 * nothing, but one look at it on slow paths.
 */
#ifndef HAK_DEAL_H
#define HAK_DEAL_H

#include "core/policy.h"

struct hak_deal {
    uint64_t start_ns; /* 0: not measured */
    unsigned arm;
    int big; /* served one by one, not from a class */
};

HAK_INLINE size_t hak_deal_threshold(unsigned arm)
{
    return (size_t)65536 << arm;
}

/* Is this a request, or a block, that arms disagree on? */
HAK_INLINE int hak_deal_concerns(size_t bytes)
{
    return bytes >= hak_deal_threshold(0) && bytes < hak_deal_threshold(HAK_ARMS - 1);
}

/* Draws an arm for a request. */
struct hak_deal hak_deal_request(size_t bytes);
/* Draws an arm that would have put a block of so many bytes where it lies. */
struct hak_deal hak_deal_block(size_t bytes, int big);
/* The operation is done: its time is written down. Keeps errno. */
void hak_deal_done(const struct hak_deal *deal);

/* In the coming window, so many operations are measured and so much time is spent on them at
 * most; then dealing pauses: requests go by the class table until the learner deals again. */
void hak_deal_open(uint64_t most_operations, uint64_t most_ns);

/* The class that serves a request when no threshold sends it to Big. */
unsigned hak_deal_class(size_t bytes);

/* Reads the oldest measurement; 0 when there is none. The learner only. */
int hak_deal_next(unsigned *arm, uint64_t *ns);
/* Measurements lost so far. */
uint64_t hak_deal_lost(void);

/* Big requests by size, for the signature: counted while a learner runs. */
#define HAK_DEAL_SIZES 24
extern uint64_t hak_deal_big_sizes[HAK_DEAL_SIZES];
#ifdef HAK_WITHOUT_LEARNING
enum { hak_deal_counts_sizes = 0 };
#else
extern int hak_deal_counts_sizes;
#endif
void hak_deal_count_size(size_t bytes);

/* Mid requests by KiB, rounded up, for the extra class: likewise. A refill stands for the
 * requests that it will serve. */
#define HAK_DEAL_MID_SIZES 33
extern uint64_t hak_deal_mid_sizes[HAK_DEAL_MID_SIZES];
void hak_deal_count_mid(size_t bytes, uint64_t requests);

#endif
