#include "core/policy.h"

#include "core/config.h"
#include "core/log.h"
#include "core/probe.h"

/* Snapshots are reused in turn: a slow path that still reads the one of this many
 * publications ago has been standing still for minutes, and then reads a newer one. */
#define KEPT 32

static struct hak_policy kept[KEPT];
struct hak_policy *hak_policy_current = &kept[0];
struct hak_policy_learned hak_policy_learned;

/* A front list holds at most this much: a thread's lists together are its cache, and its
 * cache is paid in RSS. */
#define FRONT_MOST_TINY_BYTES ((size_t)64 * HAK_KIB)
#define FRONT_MOST_MID_BYTES ((size_t)1024 * HAK_KIB)
#define FRONT_MOST_LARGE_BYTES ((size_t)256 * HAK_KIB)
#define FRONT_LARGE_BLOCKS 2 /* at least: one that comes and goes all the time, and one more */
#define FRONT_LARGE_FROM_BYTES ((uint32_t)40 * HAK_KIB)
#define FRONT_MULTIPLIED_BYTES 256

static uint32_t front_cap_of(unsigned c, uint32_t size, int tiny)
{
    if (!hak_knob(front_enable))
        return 0;
    size_t cap = tiny ? (size_t)hak_knob_at(front_cap_class, c) : 0;
    if (cap == 0 && !hak_knob_is_pinned(front_cap) && !hak_knob_is_pinned(front_cap_multiplier))
        cap = hak_policy_learned.front_cap[c];
    if (cap != 0)
        return (uint32_t)cap;
    cap = (size_t)hak_knob(front_cap);
    if (size <= FRONT_MULTIPLIED_BYTES)
        cap *= (size_t)hak_knob(front_cap_multiplier);
    if (size >= FRONT_LARGE_FROM_BYTES)
        return (uint32_t)hak_max(FRONT_MOST_LARGE_BYTES / size, FRONT_LARGE_BLOCKS);
    size_t most_bytes = tiny ? FRONT_MOST_TINY_BYTES : FRONT_MOST_MID_BYTES;
    return (uint32_t)hak_max(hak_min(cap, most_bytes / size), 1);
}

/* Half of a full list goes back unless something better was learned. */
#define DRAIN_PERMILLE 500
#define MID_MOST_BYTES (32 * HAK_KIB)

static uint32_t ace_cap_of(unsigned c, uint32_t size)
{
    int is_mid = size <= MID_MOST_BYTES;
    int pinned = is_mid ? hak_knob_is_pinned(cap_mid) : hak_knob_is_pinned(cap_large);
    if (hak_policy_learned.ace_cap[c] != 0 && !pinned)
        return hak_policy_learned.ace_cap[c];
    return (uint32_t)(is_mid ? hak_knob(cap_mid) : hak_knob(cap_large));
}

static void fill_ace(struct hak_policy *policy, const uint32_t *size_bytes, unsigned tiny_count,
                     unsigned count)
{
    for (unsigned c = tiny_count; c < count; c++)
        policy->ace_cap[c] = ace_cap_of(c, size_bytes[c]);
    policy->w_max_mid_permille = (uint32_t)(hak_knob_float(w_max_mid) * 1000 + 0.5);
    policy->w_max_large_permille = (uint32_t)(hak_knob_float(w_max_large) * 1000 + 0.5);
    policy->mid_dyn1 = (uint32_t)hak_knob(mid_dyn1);
    policy->mmap_threshold = (uint64_t)hak_knob(mmap_threshold);
    policy->realloc_slack_permille = (uint32_t)(hak_knob_float(realloc_slack) * 1000 + 0.5);
}

static void fill(struct hak_policy *policy, const uint32_t *size_bytes, unsigned tiny_count,
                 unsigned count)
{
    for (unsigned c = 0; c < count; c++) {
        uint32_t cap = front_cap_of(c, size_bytes[c], c < tiny_count);
        policy->front_cap[c] = cap;
        policy->front_refill[c] =
            (uint32_t)hak_max(hak_min((size_t)hak_knob(front_refill), cap / 2), 1);
        if (c < tiny_count)
            policy->tiny_cap[c] = (uint32_t)hak_knob_at(tiny_cap, c);
    }
    policy->empty_scan_limit = (uint32_t)hak_knob(ss_empty_scan_limit);
    policy->must_adopt = (uint32_t)hak_knob(must_adopt);
    policy->adopt_period = (uint32_t)hak_knob(adopt_period);
    policy->refill_ramp = (uint32_t)hak_knob(refill_ramp);
    policy->drain_permille =
        hak_policy_learned.drain_permille != 0 ? hak_policy_learned.drain_permille : DRAIN_PERMILLE;
    for (unsigned arm = 0; arm < HAK_ARMS; arm++)
        policy->deal_upto[arm] = hak_policy_learned.deal_upto[arm];
    fill_ace(policy, size_bytes, tiny_count, count);
#ifndef HAK_BENCH_MINIMAL /* there, nobody could be told */
    policy->sample_bytes = (uint64_t)hak_knob(sample_bytes);
    policy->listen_bytes = (uint64_t)hak_knob(listen_bytes);
#endif
}

uint64_t hak_policy_publish(const uint32_t *size_bytes, unsigned tiny_count, unsigned count)
{
    uint64_t version = hak_policy_current->version + 1;
    struct hak_policy *policy = &kept[version % KEPT];
    fill(policy, size_bytes, tiny_count, count);
    hak_log_follow_knobs();
    policy->version = version;
    hak_store_release(&hak_policy_current, policy);
    hak_probe_policy_publish(version);
    return version;
}
