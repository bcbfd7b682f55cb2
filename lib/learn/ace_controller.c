/* The ACE controller's two loops: see ace_controller.h. */
#include "ace_controller.h"

#include <math.h>
#include <string.h>

struct hak_ace_controller_config hak_ace_controller_config_default(void) {
    return (struct hak_ace_controller_config){
        .capacity_floor = 32,
        .min_operations = 256,
        .grow_miss_rate = 0.02,   /* a refill costs some 50 hits: at 2 % as much as all hits */
        .shrink_miss_rate = 0.002,
        .waste_ratio = 1.5,
        .waste_share = 0.125,
        .idle_windows = 4,
        .keep_bytes = UINT64_C(4) << 10, /* a page: less is nothing to a cache */
        .budget_bytes = UINT64_C(64) << 20,
        .slow_weight = 50,
        .waste_weight = 0.5,
        .walk = hak_ucb1_walk_config_default(),
        .ceilings = 6,
        .ceiling_slots = {32, 64, 128, 256, 512, 1024},
        .ceiling_start = 2,
        .drains = 4,
        .drain_permille = {250, 500, 750, 1000},
        .drain_start = 1, /* a full list drains half */
    };
}

static uint32_t clamp_slots(const struct hak_ace_controller *c, uint32_t slots) {
    if (slots > c->ceiling_slots)
        slots = c->ceiling_slots;
    return slots < c->config.capacity_floor ? c->config.capacity_floor : slots;
}

/* Classes that the old ceiling bound go up with its trial at once, so that the trial's whole window
 * runs under the new one; not where that might pass the budget. */
static void lift(struct hak_ace_controller *c, uint32_t before) {
    if (c->config.budget_bytes != 0 &&
        c->ceiling_slots * c->held_bytes > before * c->config.budget_bytes)
        return;
    for (uint32_t i = 0; i < c->classes; i++)
        if (c->ceiling_slots > before && c->capacity_slots[i] == before)
            c->capacity_slots[i] = c->ceiling_slots;
}

/* Makes the rungs in force, with the trial in place of its ladder's current one, the decision. */
static bool decide(struct hak_ace_controller *c) {
    uint32_t ceiling = c->ceiling.current, drain = c->drain.current;
    if (c->trying && c->turn == HAK_ACE_TURN_CEILING)
        ceiling = c->trial;
    if (c->trying && c->turn == HAK_ACE_TURN_DRAIN)
        drain = c->trial;
    bool changed = c->ceiling_slots != c->config.ceiling_slots[ceiling] ||
                   c->drain_permille != c->config.drain_permille[drain];
    c->ceiling_slots = c->config.ceiling_slots[ceiling];
    c->drain_permille = c->config.drain_permille[drain];
    for (uint32_t i = 0; i < c->classes; i++)
        c->capacity_slots[i] = clamp_slots(c, c->capacity_slots[i]);
    return changed;
}

void hak_ace_controller_init(struct hak_ace_controller *c,
                             const struct hak_ace_controller_config *config, uint32_t classes,
                             const uint32_t *start_slots) {
    *c = (struct hak_ace_controller){.config = *config, .present_reward = NAN};
    c->classes =
        classes < HAK_ACE_CONTROLLER_CLASSES_MAX ? classes : HAK_ACE_CONTROLLER_CLASSES_MAX;
    hak_ucb1_walk_init(&c->ceiling, &config->walk, config->ceilings, config->ceiling_start);
    hak_ucb1_walk_init(&c->drain, &config->walk, config->drains, config->drain_start);
    for (uint32_t i = 0; i < c->classes; i++)
        c->capacity_slots[i] = start_slots[i];
    decide(c);
}

/* Is memory wasted, and are the lists to blame for a fair part of it? */
static bool wasted(const struct hak_ace_controller *c, uint32_t class,
                   const struct hak_ace_class_window *w, uint32_t threads) {
    double waste = (double)w->mapped_bytes - (double)w->live_bytes;
    double lists = (double)c->capacity_slots[class] * (double)w->block_bytes * threads;
    return (double)w->mapped_bytes > c->config.waste_ratio * (double)w->live_bytes &&
           lists >= c->config.waste_share * waste;
}

/* A list that only runs empty feeds a growing program, one that only overflows is fed by other
 * threads' blocks: more room changes neither. Both at once is a list too short for its own swings;
 * a quarter as many of the one as of the other is taken for both. */
static bool thrashes(const struct hak_ace_class_window *w) {
    return 4 * w->drains >= w->refills && 4 * w->refills >= w->drains && w->drains > 0;
}

static uint32_t halved(const struct hak_ace_controller *c, uint32_t class,
                       const struct hak_ace_class_window *w, uint32_t threads) {
    uint32_t slots = c->capacity_slots[class];
    if (slots * w->block_bytes * threads <= c->config.keep_bytes)
        return slots;
    return clamp_slots(c, slots / 2);
}

/* The capacity that the class's own window asks for, before the budget. */
static uint32_t wanted_slots(struct hak_ace_controller *c, uint32_t class,
                             const struct hak_ace_class_window *w, uint32_t threads) {
    uint32_t slots = c->capacity_slots[class];
    uint64_t pops = w->hits + w->refills;
    if (pops == 0 || pops < c->config.min_operations) {
        if (++c->idle[class] < c->config.idle_windows)
            return slots;
        c->idle[class] = 0; /* the next halving waits as long again */
        return halved(c, class, w, threads);
    }
    c->idle[class] = 0;
    double miss_rate = (double)w->refills / (double)pops;
    if (miss_rate > c->config.grow_miss_rate && thrashes(w))
        return clamp_slots(c, slots * 2);
    if (miss_rate < c->config.shrink_miss_rate && wasted(c, class, w, threads))
        return halved(c, class, w, threads);
    return slots;
}

uint32_t hak_ace_controller_fast(struct hak_ace_controller *c,
                                 const struct hak_ace_class_window *window, uint32_t threads) {
    uint32_t changed = 0, wanted[HAK_ACE_CONTROLLER_CLASSES_MAX];
    uint64_t total_bytes = 0;
    /* Shrinks first: what they give up is there for those that grow. */
    for (uint32_t i = 0; i < c->classes; i++) {
        wanted[i] = wanted_slots(c, i, &window[i], threads);
        if (wanted[i] < c->capacity_slots[i]) {
            c->capacity_slots[i] = wanted[i];
            changed++;
        }
        total_bytes += c->capacity_slots[i] * window[i].block_bytes * threads;
    }
    for (uint32_t i = 0; i < c->classes; i++) {
        if (wanted[i] <= c->capacity_slots[i])
            continue;
        uint64_t more = (wanted[i] - c->capacity_slots[i]) * window[i].block_bytes * threads;
        if (c->config.budget_bytes > 0 && total_bytes + more > c->config.budget_bytes)
            continue;
        total_bytes += more;
        c->capacity_slots[i] = wanted[i];
        changed++;
    }
    c->held_bytes = total_bytes;
    return changed;
}

double hak_ace_controller_reward(const struct hak_ace_controller_config *config,
                                 const struct hak_ace_class_window *window, uint32_t classes) {
    double pops = 0, slow_paths = 0, live = 0, mapped = 0;
    for (uint32_t i = 0; i < classes; i++) {
        pops += (double)window[i].hits + (double)window[i].refills;
        slow_paths += (double)window[i].refills + (double)window[i].drains;
        live += (double)window[i].live_bytes;
        mapped += (double)window[i].mapped_bytes;
    }
    if (pops == 0 || live == 0)
        return NAN;
    double waste = mapped > live ? mapped / live - 1 : 0;
    return 1 / (1 + config->slow_weight * slow_paths / pops + config->waste_weight * waste);
}

static struct hak_ucb1_walk *turning(struct hak_ace_controller *c) {
    return c->turn == HAK_ACE_TURN_CEILING ? &c->ceiling : &c->drain;
}

static void pass_turn(struct hak_ace_controller *c) {
    c->turn = c->turn == HAK_ACE_TURN_CEILING ? HAK_ACE_TURN_DRAIN : HAK_ACE_TURN_CEILING;
}

/* The window of a trial has ended: compares it with the one before; a streak keeps the turn. */
static void end_trial(struct hak_ace_controller *c, uint64_t now_ns, double reward) {
    struct hak_ucb1_walk *walk = turning(c);
    if (!hak_ucb1_walk_window(walk, now_ns, c->trial, c->present_reward, reward))
        memcpy(c->capacity_slots, c->before_trial, sizeof c->capacity_slots);
    c->trying = false;
    if (walk->streak == 0)
        pass_turn(c);
}

/* A window under the rungs in force has ended: opens a trial if the walk has one to propose. */
static void open_trial(struct hak_ace_controller *c, uint64_t now_ns, double reward) {
    struct hak_ucb1_walk *walk = turning(c);
    if (isnan(reward)) /* nothing to compare a trial with */
        return;
    c->trial = hak_ucb1_walk_propose(walk, now_ns);
    if (c->trial == walk->current) {
        hak_ucb1_add(&walk->bandit, walk->current, reward);
        pass_turn(c);
        return;
    }
    c->present_reward = reward;
    c->trying = true;
    memcpy(c->before_trial, c->capacity_slots, sizeof c->capacity_slots);
}

bool hak_ace_controller_slow(struct hak_ace_controller *c, uint64_t now_ns, double reward) {
    uint32_t before = c->ceiling_slots;
    if (c->trying)
        end_trial(c, now_ns, reward);
    else
        open_trial(c, now_ns, reward);
    bool changed = decide(c);
    if (c->trying)
        lift(c, before);
    return changed;
}
