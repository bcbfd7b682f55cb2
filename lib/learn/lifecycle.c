/* The LEARN, FROZEN, CANARY state machine: see lifecycle.h. */
#include "lifecycle.h"

#include <math.h>

struct hak_lifecycle_config hak_lifecycle_config_default(void) {
    return (struct hak_lifecycle_config){
        .freeze_after_ns = UINT64_C(180000000000),
        .stable_windows = 5,
        .shift_l1 = 0.25,
        .shift_windows = 2,
        .campaign_rest_ns = UINT64_C(30000000000),
        .canary_fraction = 0.05,
        .confirm_gain = 0.05,
        .abort_loss = 0.50,
        .verdict_windows = 3,
        .canary_windows_max = 12,
    };
}

void hak_lifecycle_init(struct hak_lifecycle *lifecycle, const struct hak_lifecycle_config *config,
                        uint32_t arms, uint32_t start, enum hak_lifecycle_state state,
                        uint64_t now_ns) {
    arms = arms < 1 ? 1 : arms > HAK_LIFECYCLE_ARMS_MAX ? HAK_LIFECYCLE_ARMS_MAX : arms;
    start = start < arms ? start : arms - 1;
    *lifecycle = (struct hak_lifecycle){
        .config = *config,
        .arms = arms,
        .state = state == HAK_LIFECYCLE_LEARN ? HAK_LIFECYCLE_LEARN : HAK_LIFECYCLE_FROZEN,
        .incumbent = start,
        .candidate = start,
        .leader = start,
        .entered_ns = now_ns,
    };
}

static struct hak_lifecycle_event enter(struct hak_lifecycle *l, enum hak_lifecycle_state to,
                                        enum hak_lifecycle_cause cause, uint32_t arm,
                                        uint64_t now_ns) {
    struct hak_lifecycle_event event = {.from = l->state, .to = to, .cause = cause, .arm = arm};
    l->state = to;
    l->entered_ns = now_ns;
    return event;
}

static struct hak_lifecycle_event stay(const struct hak_lifecycle *l) {
    return (struct hak_lifecycle_event){
        .from = l->state, .to = l->state, .cause = HAK_LIFECYCLE_NOTHING, .arm = l->incumbent};
}

static struct hak_lifecycle_event freeze(struct hak_lifecycle *l, enum hak_lifecycle_cause cause,
                                         uint32_t arm, uint64_t now_ns) {
    l->incumbent = l->candidate = arm < l->arms ? arm : l->incumbent;
    l->shifted = 0;
    return enter(l, HAK_LIFECYCLE_FROZEN, cause, l->incumbent, now_ns);
}

static struct hak_lifecycle_event step_learn(struct hak_lifecycle *l,
                                             const struct hak_lifecycle_window *w) {
    if (!w->leader_clear)
        l->stable = 0;
    else
        l->stable = l->stable > 0 && w->leader == l->leader ? l->stable + 1 : 1;
    l->leader = w->leader;
    if (l->stable > 0 && l->stable >= l->config.stable_windows)
        return freeze(l, HAK_LIFECYCLE_CONVERGED, w->leader, w->now_ns);
    if (w->now_ns - l->entered_ns >= l->config.freeze_after_ns)
        return freeze(l, HAK_LIFECYCLE_TIME_LIMIT, w->leader, w->now_ns);
    return stay(l);
}

/* Counts the windows running that show a shift; true when there are enough. */
static bool note_shift(struct hak_lifecycle *l, const struct hak_lifecycle_window *w) {
    if (isnan(w->shift_l1)) /* a window too thin to tell neither counts nor breaks the run */
        return false;
    l->shifted = w->shift_l1 >= l->config.shift_l1 ? l->shifted + 1 : 0;
    return l->shifted > 0 && l->shifted >= l->config.shift_windows;
}

static uint32_t all_but(const struct hak_lifecycle *l, uint32_t arm) {
    return ((1u << l->arms) - 1) & ~(1u << arm);
}

/* The pending arm nearest to the incumbent: neighbours differ least, so they are the safest to try.
 * pending is not 0; of two as near the lower one. */
static uint32_t nearest_pending(const struct hak_lifecycle *l) {
    for (uint32_t far = 1; far < l->arms; far++) {
        if (l->incumbent >= far && (l->pending >> (l->incumbent - far) & 1))
            return l->incumbent - far;
        if (l->incumbent + far < l->arms && (l->pending >> (l->incumbent + far) & 1))
            return l->incumbent + far;
    }
    return l->incumbent;
}

static struct hak_lifecycle_event open_canary(struct hak_lifecycle *l,
                                              enum hak_lifecycle_cause cause, uint64_t now_ns) {
    l->candidate = nearest_pending(l);
    l->pending &= ~(1u << l->candidate);
    l->windows = l->gains = l->losses = l->shifted = 0;
    return enter(l, HAK_LIFECYCLE_CANARY, cause, l->candidate, now_ns);
}

static struct hak_lifecycle_event step_frozen(struct hak_lifecycle *l,
                                              const struct hak_lifecycle_window *w) {
    if (l->pending)
        return open_canary(l, HAK_LIFECYCLE_NEXT, w->now_ns);
    bool resting = l->campaigned && w->now_ns - l->campaign_end_ns < l->config.campaign_rest_ns;
    if (!note_shift(l, w) || resting)
        return stay(l);
    l->pending = all_but(l, l->incumbent);
    return l->pending ? open_canary(l, HAK_LIFECYCLE_SHIFTED, w->now_ns) : stay(l);
}

static struct hak_lifecycle_event close_canary(struct hak_lifecycle *l,
                                               enum hak_lifecycle_cause cause, uint64_t now_ns) {
    uint32_t arm = l->candidate;
    if (cause == HAK_LIFECYCLE_CONFIRMED) {
        l->incumbent = arm;
        l->confirmed++;
    } else {
        l->candidate = l->incumbent;
        l->rolled_back++;
    }
    if (cause == HAK_LIFECYCLE_SHIFTED_AGAIN)
        l->pending = all_but(l, l->incumbent);
    if (!l->pending) {
        l->campaigned = true;
        l->campaign_end_ns = now_ns;
    }
    l->shifted = 0;
    return enter(l, HAK_LIFECYCLE_FROZEN, cause, arm, now_ns);
}

static struct hak_lifecycle_event step_canary(struct hak_lifecycle *l,
                                              const struct hak_lifecycle_window *w) {
    if (note_shift(l, w)) /* what was measured is about sizes that are gone */
        return close_canary(l, HAK_LIFECYCLE_SHIFTED_AGAIN, w->now_ns);
    l->windows++;
    if (w->incumbent_cost > 0 && w->candidate_cost > 0) { /* false for a missing cost */
        double ratio = w->candidate_cost / w->incumbent_cost;
        if (ratio > 1 + l->config.abort_loss)
            return close_canary(l, HAK_LIFECYCLE_WORSE, w->now_ns);
        l->gains = ratio < 1 - l->config.confirm_gain ? l->gains + 1 : 0;
        l->losses = ratio > 1 + l->config.confirm_gain ? l->losses + 1 : 0;
    }
    if (l->gains > 0 && l->gains >= l->config.verdict_windows)
        return close_canary(l, HAK_LIFECYCLE_CONFIRMED, w->now_ns);
    if (l->losses > 0 && l->losses >= l->config.verdict_windows)
        return close_canary(l, HAK_LIFECYCLE_WORSE, w->now_ns);
    if (l->windows >= l->config.canary_windows_max)
        return close_canary(l, HAK_LIFECYCLE_UNDECIDED, w->now_ns);
    return stay(l);
}

struct hak_lifecycle_event hak_lifecycle_step(struct hak_lifecycle *l,
                                              const struct hak_lifecycle_window *w) {
    switch (l->state) {
    case HAK_LIFECYCLE_LEARN:
        return step_learn(l, w);
    case HAK_LIFECYCLE_FROZEN:
        return step_frozen(l, w);
    case HAK_LIFECYCLE_CANARY:
        return step_canary(l, w);
    }
    return stay(l);
}

const char *hak_lifecycle_state_name(enum hak_lifecycle_state state) {
    static const char *const name[] = {"learn", "frozen", "canary"};
    return (unsigned)state < sizeof name / sizeof name[0] ? name[state] : "unknown";
}

const char *hak_lifecycle_cause_name(enum hak_lifecycle_cause cause) {
    static const char *const name[] = {"nothing", "converged", "time_limit", "shifted",   "next",
                                       "confirmed", "worse",   "undecided",  "shifted_again"};
    return (unsigned)cause < sizeof name / sizeof name[0] ? name[cause] : "unknown";
}
