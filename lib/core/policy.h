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

struct hak_policy {
    uint64_t version;
    uint32_t front_cap[HAK_CLASS_CAPACITY];    /* blocks */
    uint32_t front_refill[HAK_CLASS_CAPACITY]; /* blocks */
    uint32_t tiny_cap[HAK_TINY_CLASS_CAPACITY]; /* slots, 0: none */
    uint32_t empty_scan_limit;                 /* SuperSlabs */
    uint32_t must_adopt;
    uint64_t sample_bytes; /* mean between samples; 0: none are taken */
};

extern struct hak_policy *hak_policy_current;

HAK_INLINE const struct hak_policy *hak_policy_now(void)
{
    return hak_load_acquire(&hak_policy_current);
}

/* Builds a snapshot from the effective knobs and makes it the current one. `size_bytes`
 * has the stride of each of `count` classes. Returns its version. */
uint64_t hak_policy_publish(const uint32_t *size_bytes, unsigned tiny_count, unsigned count);

#endif
