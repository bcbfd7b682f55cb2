/*
 * slab/shared_pool and slab/remote under threads: slabs are acquired, adopted, published and
 * released while their blocks are freed by whoever meets them. At the end every slot must be
 * found again: none lost, none owned twice.
 */
#include <sched.h>

#include "core/codes.h"
#include "slabs.h"

enum { THREADS = 4, CLASSES = 2, FLIGHT = 64, OWNED = 6 };
static const unsigned classes[CLASSES] = {20, 24};

static uintptr_t flight[FLIGHT]; /* blocks that wait for somebody to free them */
static uint32_t wrong;           /* invariants that a thread found broken */

struct player {
    uint32_t tag;
    uint64_t seed;
    unsigned rounds;
    struct hak_block counts;
    struct hak_slab *owned[OWNED];
    unsigned count;
    struct check_rng rng;
};
static struct player players[THREADS];

static void expect(int held) {
    if (!held)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

static unsigned chance(struct player *p, unsigned n) {
    return (unsigned)check_rng_between(&p->rng, 0, n - 1);
}

/* As free() does it: by the unit map. */
static void free_block(struct player *p, void *block) {
    size_t unit = hak_unit_of(block);
    uint32_t tag = hak_load_relaxed(&hak_zone.map[unit]) >> HAK_TAG_SHIFT;
    if (tag == p->tag)
        put_block(hak_slab_of_unit(unit), block);
    else
        hak_remote_push(unit, block, block, 1);
}

static void get_slab(struct player *p) {
    struct hak_pool_outcome outcome;
    unsigned class = classes[chance(p, CLASSES)];
    struct hak_slab *slab = hak_pool_adopt(class, p->tag, &p->counts);
    if (slab == NULL)
        slab = hak_pool_acquire(class, p->tag, 1, &p->counts, &outcome);
    expect(slab != NULL && hak_slab_owner(slab) == p->tag && slab->class == class);
    expect(slab->used + slab->home + slab->linked_count == slab->carved);
    p->owned[p->count++] = slab;
}

static void drop_slab(struct player *p, unsigned i) {
    struct hak_slab *slab = p->owned[i];
    p->owned[i] = p->owned[--p->count];
    hak_remote_take(slab);
    expect(hak_slab_owner(slab) == p->tag);
    if (slab->used == 0 && !hak_remote_is_queued(slab))
        hak_pool_release(slab, &p->counts);
    else
        hak_pool_publish(slab, &p->counts);
}

static void take_in_remote(struct player *p) {
    for (struct hak_slab *slab; (slab = hak_remote_next(p->tag)) != NULL;) {
        expect(hak_slab_owner(slab) == p->tag);
        hak_remote_take(slab);
    }
}

static void move_a_block(struct player *p) {
    void *block;
    struct hak_slab *slab = p->owned[chance(p, p->count)];
    if (take_blocks(slab, 1, &block) == 0)
        return;
    uintptr_t old = __atomic_exchange_n(&flight[chance(p, FLIGHT)], (uintptr_t)block,
                                        __ATOMIC_ACQ_REL);
    if (old != 0)
        free_block(p, (void *)old);
}

static void *play(void *argument) {
    struct player *p = argument;
    p->rng = check_rng_seed(p->seed);
    for (unsigned i = 0; i < p->rounds; i++) {
        if (p->count == 0 || (p->count < OWNED && chance(p, 8) == 0))
            get_slab(p);
        move_a_block(p);
        if (chance(p, 16) == 0)
            take_in_remote(p);
        if (chance(p, 16) == 0)
            drop_slab(p, chance(p, p->count));
        if (chance(p, 64) == 0)
            sched_yield();
    }
    while (p->count != 0)
        drop_slab(p, 0);
    take_in_remote(p);
    return NULL;
}

/* Everybody is gone; whoever inherits the tags looks into their queues once more. */
static void free_what_flies(void) {
    struct player *p = &players[0];
    for (int i = 0; i < FLIGHT; i++)
        if (flight[i] != 0)
            free_block(p, (void *)flight[i]);
    memset(flight, 0, sizeof flight);
    for (int i = 0; i < THREADS; i++)
        take_in_remote(&players[i]);
}

static void play_all(uint64_t seed, unsigned rounds) {
    for (int i = 0; i < THREADS; i++)
        players[i] = (struct player){
            .tag = ALICE + (uint32_t)i, .seed = seed + (uint64_t)i, .rounds = rounds};
    run_threads(THREADS, play, players, sizeof players[0]);
    free_what_flies();
}

static int64_t active_slots(void) {
    return CLASS_COUNT(classes[0], active_slots) + CLASS_COUNT(classes[1], active_slots);
}

static int64_t empty_slots(void) {
    return CLASS_COUNT(classes[0], empty_slots) + CLASS_COUNT(classes[1], empty_slots);
}

static void adopt_all_and_release(void) {
    static struct hak_block counts;
    for (int c = 0; c < CLASSES; c++)
        for (struct hak_slab *slab; (slab = hak_pool_adopt(classes[c], BOB, &counts)) != NULL;) {
            CHECK_EQ(slab->used, 0);
            hak_pool_release(slab, &counts);
        }
}

static void with_adoption_no_slot_is_lost(void) {
    for (unsigned round = 0; round < rounds_of(100); round++) {
        play_all(round * 10 + 1, 3000);
        adopt_all_and_release();
        CHECK_EQ(active_slots(), 0);
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(COUNT(integrity_errors), 0);
}

/* Acquires as long as slabs come from the pool itself: what is found is what is EMPTY. */
static unsigned acquire_all_and_release(unsigned class) {
    static struct hak_slab *found[65536];
    static struct hak_block counts;
    struct hak_pool_outcome outcome;
    unsigned count = 0;
    SET_KNOB(ss_empty_scan_limit, 4096);
    for (;;) {
        uint64_t listed = counts.class[class][HAK_CLASS_stage_0_5] +
                          counts.class[class][HAK_CLASS_stage_1];
        found[count] = hak_pool_acquire(class, BOB, 1, &counts, &outcome);
        if (counts.class[class][HAK_CLASS_stage_0_5] + counts.class[class][HAK_CLASS_stage_1] ==
            listed)
            break;
        count++;
    }
    for (unsigned i = 0; i <= count; i++)
        hak_pool_release(found[i], &counts);
    SET_KNOB(ss_empty_scan_limit, 64);
    return count;
}

static void without_adoption_no_slot_is_lost(void) {
    SET_KNOB(ss_adopt, 0);
    for (unsigned round = 0; round < rounds_of(300); round++) {
        play_all(round * 10 + 7, 1000);
        int64_t all = active_slots() + empty_slots();
        for (int c = 0; c < CLASSES; c++)
            acquire_all_and_release(classes[c]);
        if (!CHECK_EQ(active_slots(), 0) || !CHECK(empty_slots() >= all))
            break;
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(COUNT(integrity_errors), 0);
    SET_KNOB(ss_adopt, 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(with_adoption_no_slot_is_lost);
    RUN(without_adoption_no_slot_is_lost);
    return check_report();
}
