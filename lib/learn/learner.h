/*
 * learner.h - one window of learning: what was measured goes in, what is to be in force
 * comes out. Puts the tuner of the mmap threshold and the ACE controller of the fronts together.
 *
 * What an arm costs is sqrt(median * p99) of its operations, both by P²: the slowest count as
 * much as the usual ones, on a scale of ratios. The p99 alone cannot tell arms apart whose slowest
 * operations are the same ones.
 *
 * Owned by the learner thread (front/learning.c), which alone may call it. No I/O, no
 * allocation; the clock is an argument.
 *
 * It does not: read counters, sleep, publish a policy, or fire a probe.
 */
#ifndef HAK_LEARN_LEARNER_H
#define HAK_LEARN_LEARNER_H

#include "ace_controller.h"
#include "cap.h"
#include "p2.h"
#include "tuner.h"

#define HAK_LEARNER_ARMS HAK_TUNER_THRESHOLD_ARMS
#define HAK_LEARNER_DEAL_ALL 65536u

struct hak_learner_config {
    struct hak_tuner_config tuner;
    struct hak_cap_config mid, large;
    struct hak_ace_controller_config ace;
    uint32_t ace_windows; /* windows in one step of the slow loop */
    bool deals;           /* arms of the threshold are to be learnt */
    bool moves_fronts;    /* the ACE controller is on */
};

struct hak_learner_config hak_learner_config_default(void);

struct hak_learner {
    struct hak_learner_config config;
    struct hak_tuner tuner;
    struct hak_ace_controller ace;
    struct hak_p2 p99[HAK_LEARNER_ARMS];   /* of the operations since the arm was last judged */
    struct hak_p2 median[HAK_LEARNER_ARMS]; /* likewise */
    uint64_t p99_ns[HAK_LEARNER_ARMS];    /* p99 when the arm was last judged; 0: never */
    uint64_t samples;                      /* measurements taken in, since init */
    uint64_t windows;
    uint32_t slow_turn;                    /* windows of the running slow step */
    struct hak_ace_class_window slow[HAK_ACE_CONTROLLER_CLASSES_MAX]; /* its sums */
};

/* start is the arm in force, state LEARN or FROZEN. Front i of tiny_classes starts at
 * start_slots[i]. */
void hak_learner_init(struct hak_learner *learner, const struct hak_learner_config *config,
                      uint32_t start, enum hak_lifecycle_state state, uint32_t tiny_classes,
                      const uint32_t *start_slots, uint64_t now_ns);

/* The arm nearest to a threshold in bytes, not below it. */
uint32_t hak_learner_arm_of(uint64_t threshold_bytes);

/* One measured operation that an arm governed. */
void hak_learner_sample(struct hak_learner *learner, uint32_t arm, uint64_t ns);

/* Ends a window for the threshold: the transition, if any. */
struct hak_lifecycle_event hak_learner_window(struct hak_learner *learner, uint64_t now_ns,
                                              const struct hak_signature *sizes);

/* Ends a window for the fronts: how many decisions changed. Nothing while not moves_fronts. */
uint32_t hak_learner_fronts(struct hak_learner *learner, uint64_t now_ns,
                            const struct hak_ace_class_window *window, uint32_t threads);

/* The coming window's deal: upto[i] of HAK_LEARNER_DEAL_ALL requests fall on arm i or one before.
 * All 0 while one arm has all of them: then nothing is dealt, and nothing is measured. */
void hak_learner_deal(const struct hak_learner *learner, uint32_t upto[HAK_LEARNER_ARMS]);

/* The arm that most requests of the coming window fall on. */
uint32_t hak_learner_likeliest(const struct hak_learner *learner);

#endif
