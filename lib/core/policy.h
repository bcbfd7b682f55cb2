/*
 * policy.h - the policy snapshot: what slow paths may be told to do differently.
 *
 * Immutable once published. hak_policy_now() is one load and may be called by any
 * thread, which uses what it got for one slow path. Publishers hold the policy lock. It
 * does not decide: the learner or a tool does.
 */
#ifndef HAK_POLICY_H
#define HAK_POLICY_H

#include "base/atomic.h"
#include "core/counters.h"

#define HAK_TINY_CLASS_CAPACITY 32
#define HAK_ARMS 6 /* of the mmap threshold: 64 KiB << arm */
#define HAK_DEAL_ALL 65536u

/* A snapshot's memory is written anew some generations later, when a reader may still be in the
 * middle of it: it then reads newer words. To load such a word costs what any load does. */
typedef _Atomic uint32_t hak_shared_u32;
typedef _Atomic uint64_t hak_shared_u64;

struct hak_policy {
    hak_shared_u64 version;
    hak_shared_u32 front_cap[HAK_CLASS_CAPACITY]; /* blocks */
    hak_shared_u32 front_refill[HAK_CLASS_CAPACITY]; /* blocks */
    hak_shared_u32 tiny_cap[HAK_TINY_CLASS_CAPACITY]; /* slots, 0: none */
    hak_shared_u32 empty_scan_limit; /* SuperSlabs */
    hak_shared_u32 must_adopt;
    hak_shared_u64 sample_bytes; /* mean between samples; 0: none are taken */
    hak_shared_u64 listen_bytes; /* the same while a tool listens; 0: sample_bytes */
    hak_shared_u32 adopt_period; /* needs for a slab to one look into the mailbox */
    hak_shared_u32 refill_ramp; /* refills begin small and double */
    hak_shared_u32 drain_permille; /* of a full list, given back at once */
    hak_shared_u32 ace_cap[HAK_CLASS_CAPACITY]; /* blocks that a pool holds, soft; 0: none */
    hak_shared_u32 w_max_mid_permille, w_max_large_permille; /* class bytes per 1000 asked for */
    hak_shared_u32 mid_dyn1; /* bytes of the extra Mid class, 0: none */
    hak_shared_u64 mmap_threshold; /* bytes */
    hak_shared_u32 realloc_slack_permille; /* of its size, added to a block that grows */
    /* Requests between the first arm and the last are dealt out: a draw below deal_upto[i],
     * of HAK_DEAL_ALL, falls on arm i or one before it. deal_upto[HAK_ARMS - 1] == 0: none. */
    hak_shared_u32 deal_upto[HAK_ARMS];
};

/* What the learner has found, over the knobs' values; 0 is "nothing". */
struct hak_policy_learned {
    uint32_t front_cap[HAK_CLASS_CAPACITY]; /* blocks */
    hak_shared_u32 ace_cap[HAK_CLASS_CAPACITY]; /* blocks; moved before the publisher's lock is
                                                 * taken, so that another may take some of them */
    uint32_t drain_permille;
    uint32_t deal_upto[HAK_ARMS]; /* see struct hak_policy */
};

/* -DHAK_WITHOUT_LEARNING compiles learning out, to measure what it costs while it rests. */
HAK_INLINE int hak_policy_deals(const struct hak_policy *policy)
{
#ifdef HAK_WITHOUT_LEARNING
    (void)policy;
    return 0;
#endif
    return policy->deal_upto[HAK_ARMS - 1] != 0;
}

extern struct hak_policy *hak_policy_current;

HAK_INLINE const struct hak_policy *hak_policy_now(void)
{
    return hak_load_acquire(&hak_policy_current);
}

/* Laid over the knobs by the next publication; written by the publisher, under its lock. */
extern struct hak_policy_learned hak_policy_learned;

/* Builds a snapshot from the effective knobs and makes it the current one. `size_bytes`
 * has the stride of each of `count` classes. Returns its version. */
uint64_t hak_policy_publish(const uint32_t *size_bytes, unsigned tiny_count, unsigned count);

#endif
