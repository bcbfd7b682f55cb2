/*
 * lifecycle.h - when to learn, when to stop, when to look again: LEARN -> FROZEN <-> CANARY.
 *
 *   LEARN   every arm is tried. Ends when the same leader was clear for `stable_windows` windows
 *           running (converged), or after `freeze_after_ns` (time limit): FROZEN with the leader.
 *   FROZEN  one arm, the incumbent; nothing is measured but the size signature. When that differs
 *           from the baseline by `shift_l1` in `shift_windows` windows running, a campaign opens:
 *           every other arm is to be tried, the nearest to the incumbent first.
 *   CANARY  one candidate gets `canary_fraction` of the operations. Better by `confirm_gain` in
 *           `verdict_windows` windows running: confirmed, it is the incumbent. Worse by as much
 *           so often, much worse once (`abort_loss`), undecided after `canary_windows_max`
 *           windows, or the sizes shifted again: rolled back, the incumbent stays. Either way
 *           FROZEN; the next window opens the campaign's next canary, and after the last one the
 *           signature it was opened with is the baseline.
 *
 * A campaign takes at most (arms - 1) * (canary_windows_max + 1) windows unless sizes shift
 * again. Freeze by limit and canary releases are practice, not one paper's; staged exposure with
 * automatic rollback is described in B. Beyer et al., "The Site Reliability Workbook", 2018,
 * chapter 16.
 *
 * Owned by whoever holds the struct, for one thread at a time (the learner's). No I/O; the clock
 * is an argument and must not run backwards.
 *
 * It does not: measure costs, keep ratings (elo) or signatures (signature), or choose an arm for
 * an operation; tuner.h puts these together.
 */
#ifndef HAK_LEARN_LIFECYCLE_H
#define HAK_LEARN_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#define HAK_LIFECYCLE_ARMS_MAX 8

enum hak_lifecycle_state { HAK_LIFECYCLE_LEARN, HAK_LIFECYCLE_FROZEN, HAK_LIFECYCLE_CANARY };

enum hak_lifecycle_cause {
    HAK_LIFECYCLE_NOTHING,       /* no transition in this window */
    HAK_LIFECYCLE_CONVERGED,     /* LEARN -> FROZEN */
    HAK_LIFECYCLE_TIME_LIMIT,    /* LEARN -> FROZEN */
    HAK_LIFECYCLE_SHIFTED,       /* FROZEN -> CANARY, first of a campaign */
    HAK_LIFECYCLE_NEXT,          /* FROZEN -> CANARY, a further arm of the campaign */
    HAK_LIFECYCLE_CONFIRMED,     /* CANARY -> FROZEN, the candidate took over */
    HAK_LIFECYCLE_WORSE,         /* CANARY -> FROZEN, rolled back: it lost */
    HAK_LIFECYCLE_UNDECIDED,     /* CANARY -> FROZEN, rolled back: no verdict in time */
    HAK_LIFECYCLE_SHIFTED_AGAIN, /* CANARY -> FROZEN, rolled back: the campaign starts over */
};

struct hak_lifecycle_config {
    uint64_t freeze_after_ns;    /* longest LEARN; 0 freezes at the first window */
    uint32_t stable_windows;     /* windows running with one clear leader */
    double shift_l1;             /* L1 distance beyond noise that is a shift, 0..2 */
    uint32_t shift_windows;      /* windows running that must show it */
    uint64_t campaign_rest_ns;   /* least time between the end of a campaign and the next */
    double canary_fraction;      /* share of operations for the candidate, 0..1 */
    double confirm_gain;         /* relative gain (or loss) that a window must show */
    double abort_loss;           /* relative loss that rolls back at once */
    uint32_t verdict_windows;    /* windows running for a verdict */
    uint32_t canary_windows_max; /* windows, measured or not, before it is undecided */
};

/* 180 s, 5, 0.25, 2, 30 s, 5 %, 5 %, 50 %, 3, 12. */
struct hak_lifecycle_config hak_lifecycle_config_default(void);

struct hak_lifecycle {
    struct hak_lifecycle_config config;
    uint32_t arms;
    enum hak_lifecycle_state state;
    uint32_t incumbent;  /* the arm in force */
    uint32_t candidate;  /* in CANARY the arm on trial, else the incumbent */
    uint32_t pending;    /* bit per arm that the campaign has still to try */
    uint64_t entered_ns; /* when the state was entered */
    uint32_t leader;     /* LEARN: the clear leader of the last window */
    uint32_t stable;     /* LEARN: windows running that it was so */
    uint32_t shifted;    /* windows running that showed a shift */
    uint32_t windows;    /* CANARY: windows so far */
    uint32_t gains;      /* CANARY: windows running that the candidate was better */
    uint32_t losses;     /* CANARY: windows running that it was worse */
    bool campaigned;     /* a campaign has ended, at campaign_end_ns */
    uint64_t campaign_end_ns;
    uint64_t confirmed;   /* canaries confirmed since init */
    uint64_t rolled_back; /* canaries rolled back since init */
};

/* What one window has shown. */
struct hak_lifecycle_window {
    uint64_t now_ns;
    uint32_t leader;       /* LEARN: the best arm so far */
    bool leader_clear;     /* LEARN: it is ahead beyond doubt */
    double shift_l1;       /* distance beyond noise from the baseline; NaN is missing */
    double incumbent_cost; /* CANARY: lower is better, above 0; NaN is missing */
    double candidate_cost; /* CANARY: likewise */
};

struct hak_lifecycle_event {
    enum hak_lifecycle_state from, to;
    enum hak_lifecycle_cause cause; /* HAK_LIFECYCLE_NOTHING: from == to */
    uint32_t arm;                   /* frozen arm; candidate opened, confirmed or rolled back */
};

/* state is LEARN, or FROZEN to start with arm start in force. arms and start are cut to fit. */
void hak_lifecycle_init(struct hak_lifecycle *lifecycle, const struct hak_lifecycle_config *config,
                        uint32_t arms, uint32_t start, enum hak_lifecycle_state state,
                        uint64_t now_ns);

/* Ends a window: at most one transition. */
struct hak_lifecycle_event hak_lifecycle_step(struct hak_lifecycle *lifecycle,
                                              const struct hak_lifecycle_window *window);

/* "learn", "frozen", "canary". */
const char *hak_lifecycle_state_name(enum hak_lifecycle_state state);

/* "converged", "time_limit", "confirmed", ... */
const char *hak_lifecycle_cause_name(enum hak_lifecycle_cause cause);

#endif
