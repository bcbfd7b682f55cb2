/* slab/remote: blocks freed by threads that do not own their slab. */
#include "slab/remote.h"

#include <sched.h>

#include "slabs.h"

enum { CLASS = 8 };

static void a_pushed_block_comes_back_to_its_slab(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[10];
    CHECK_EQ(take_blocks(slab, 10, blocks), 10);
    push_blocks(slab, blocks, 1);
    CHECK_EQ(slab->used, 10); /* until the owner takes it in */
    CHECK(hak_remote_waiting(ALICE));
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK_EQ(hak_remote_take(slab), 1);
    CHECK_EQ(slab->used, 9);
    CHECK_EQ(slab->linked_count, 1);
    CHECK(slab->linked == blocks[0]);
    CHECK(!hak_remote_waiting(ALICE));
    CHECK(hak_remote_next(ALICE) == NULL);
}

static void chains_of_many_pushers_all_come_back(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[60];
    take_blocks(slab, 60, blocks);
    push_blocks(slab, blocks, 20);
    push_blocks(slab, blocks + 20, 1);
    push_blocks(slab, blocks + 21, 39);
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK_EQ(hak_remote_take(slab), 60);
    CHECK_EQ(slab->used, 0);
    unsigned count = 0;
    for (void *b = slab->linked; b != NULL; b = *(void **)b)
        count++;
    CHECK_EQ(count, 60);
}

static void a_slab_is_announced_once_however_much_is_pushed(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[4];
    take_blocks(slab, 4, blocks);
    CHECK(!hak_remote_is_queued(slab));
    for (int i = 0; i < 3; i++)
        push_blocks(slab, &blocks[i], 1);
    CHECK(hak_remote_is_queued(slab));
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK(!hak_remote_is_queued(slab));
    CHECK(hak_remote_next(ALICE) == NULL);
    push_blocks(slab, &blocks[3], 1); /* again, for it was taken out of the queue */
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK_EQ(hak_remote_take(slab), 4);
}

static void every_owner_has_a_queue_of_its_own(void) {
    struct hak_slab *hers = private_slab(CLASS, ALICE), *his = private_slab(CLASS, BOB);
    void *a[1], *b[1];
    take_blocks(hers, 1, a);
    take_blocks(his, 1, b);
    push_blocks(hers, a, 1);
    push_blocks(his, b, 1);
    CHECK(hak_remote_next(BOB) == his);
    CHECK(hak_remote_next(BOB) == NULL);
    CHECK(hak_remote_next(ALICE) == hers);
    CHECK(hak_remote_next(ALICE) == NULL);
}

static void taking_from_a_slab_nobody_pushed_to_brings_nothing(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[3];
    take_blocks(slab, 3, blocks);
    CHECK_EQ(hak_remote_take(slab), 0);
    CHECK_EQ(slab->used, 3);
}

static void taking_early_leaves_an_empty_entry_in_the_queue(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[3];
    take_blocks(slab, 3, blocks);
    push_blocks(slab, blocks, 2);
    CHECK_EQ(hak_remote_take(slab), 2); /* a refill looks at its own slab first */
    CHECK(hak_remote_is_queued(slab));  /* so it is not released while it is linked */
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK_EQ(hak_remote_take(slab), 0);
}

static void a_queued_slab_that_changed_hands_is_passed_to_its_new_owner(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[3];
    take_blocks(slab, 3, blocks);
    push_blocks(slab, blocks, 1);
    hak_slab_set_owner(slab, BOB);
    push_blocks(slab, blocks + 1, 1);
    CHECK(hak_remote_next(BOB) == NULL);
    CHECK(hak_remote_next(ALICE) == NULL);
    CHECK(hak_remote_is_queued(slab));
    CHECK(hak_remote_next(BOB) == slab);
    CHECK_EQ(hak_remote_take(slab), 2);
}

static void a_queued_slab_that_nobody_owns_any_more_is_knocked_for(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[2];
    take_blocks(slab, 2, blocks);
    push_blocks(slab, blocks, 1);
    hak_slab_set_owner(slab, HAK_TAG_NOBODY);
    CHECK(hak_remote_next(ALICE) == NULL);
    CHECK(!hak_remote_is_queued(slab));
    CHECK(state_of(slab) & HAK_SLOT_KNOCKED);
    CHECK_EQ(hak_remote_take(slab), 1);
}

static void a_push_to_a_slab_without_owner_knocks_and_queues_nothing(void) {
    struct hak_slab *slab = private_slab(CLASS, HAK_TAG_NOBODY);
    void *blocks[2];
    take_blocks(slab, 2, blocks);
    CHECK(!(state_of(slab) & HAK_SLOT_KNOCKED));
    push_blocks(slab, blocks, 2);
    CHECK(state_of(slab) & HAK_SLOT_KNOCKED);
    CHECK(!hak_remote_is_queued(slab));
    CHECK_EQ(hak_remote_take(slab), 2);
}

static void many_slabs_wait_in_one_queue(void) {
    enum { MANY = 50 };
    struct hak_slab *slabs[MANY], *slab;
    void *block;
    unsigned seen = 0;
    for (int i = 0; i < MANY; i++) {
        slabs[i] = private_slab(CLASS, CAROL);
        take_blocks(slabs[i], 1, &block);
        push_blocks(slabs[i], &block, 1);
    }
    while ((slab = hak_remote_next(CAROL)) != NULL)
        seen += hak_remote_take(slab);
    CHECK_EQ(seen, MANY);
}

/* ---- abuse ------------------------------------------------------------------------- */

/* Takes all that came home; the links are looked at here, where they are followed. */
static unsigned take_all(struct hak_slab *slab) {
    void *end[1] = {NULL}, *list = end;
    unsigned carved = slab->carved, sum = 0;
    while (slab->linked != NULL)
        sum += hak_slab_take(slab, 1000, &list);
    return sum - (slab->carved - carved);
}

static void a_link_out_of_the_slab_ends_the_list_and_is_reported(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[8];
    int64_t errors = COUNT(integrity_errors);
    take_blocks(slab, 8, blocks);
    push_blocks(slab, blocks, 4);
    *(uintptr_t *)blocks[1] = 0x4242424242424240; /* written after it was freed */
    hak_remote_take(slab);
    CHECK_EQ(take_all(slab), 2);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
    while (hak_remote_next(ALICE) != NULL)
        ;
}

static void a_block_of_another_slab_in_the_list_is_reported(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE), *other = private_slab(CLASS, ALICE);
    void *mine[2], *theirs[2];
    int64_t errors = COUNT(integrity_errors);
    take_blocks(slab, 2, mine);
    take_blocks(other, 2, theirs);
    *(void **)theirs[0] = mine[0];
    *(void **)mine[0] = NULL;
    hak_remote_push(hak_slab_unit(slab), theirs[0], mine[0], 2);
    hak_remote_take(slab);
    CHECK_EQ(take_all(slab), 0);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
    while (hak_remote_next(ALICE) != NULL)
        ;
}

static void more_blocks_than_were_handed_out_are_reported_and_left_alone(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[3];
    int64_t errors = COUNT(integrity_errors);
    take_blocks(slab, 3, blocks);
    put_block(slab, blocks[2]);
    push_blocks(slab, blocks, 2);
    push_blocks(slab, blocks + 2, 1); /* it is at home already */
    CHECK_EQ(hak_remote_take(slab), 0);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
    CHECK_EQ(slab->home, 1);
    CHECK_EQ(slab->linked_count, 0);
    while (hak_remote_next(ALICE) != NULL)
        ;
}

static void a_linked_list_that_is_a_ring_does_not_hold_the_owner_up(void) {
    struct hak_slab *slab = private_slab(CLASS, ALICE);
    void *blocks[4];
    take_blocks(slab, 4, blocks);
    for (int times = 0; times < 2; times++) { /* freed twice: it leads to itself */
        push_blocks(slab, blocks, 1);
        CHECK_EQ(hak_remote_take(slab), 1);
    }
    push_blocks(slab, blocks + 1, 1);
    hak_remote_take(slab); /* returns */
    CHECK(slab->used <= 2);
    while (hak_remote_next(ALICE) != NULL)
        ;
}

/* ---- threads --------------------------------------------------------------------------- */

/* Pushers free each block of their share once; the owner takes all of them in meanwhile. */
enum { PUSHERS = 3, SLABS = 6 };

struct pusher {
    void *blocks[SLABS * 400];
    uint32_t units[SLABS * 400];
    unsigned count;
    uint64_t seed;
};
static struct pusher pushers[PUSHERS];
static uint32_t pushers_left;

static void *push_share(void *argument) {
    struct pusher *p = argument;
    struct check_rng rng = check_rng_seed(p->seed);
    for (unsigned i = 0; i < p->count;) {
        unsigned chain = 1, most = (unsigned)check_rng_between(&rng, 1, 8);
        while (chain < most && i + chain < p->count && p->units[i + chain] == p->units[i]) {
            *(void **)p->blocks[i + chain - 1] = p->blocks[i + chain];
            chain++;
        }
        hak_remote_push(p->units[i], p->blocks[i], p->blocks[i + chain - 1], chain);
        i += chain;
    }
    __atomic_fetch_sub(&pushers_left, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void deal_blocks(struct hak_slab *slab, unsigned *total) {
    void *blocks[400];
    unsigned got = take_blocks(slab, 400, blocks);
    for (unsigned i = 0; i < got; i++) {
        struct pusher *p = &pushers[i % PUSHERS];
        p->units[p->count] = (uint32_t)hak_slab_unit(slab);
        p->blocks[p->count++] = blocks[i];
    }
    *total += got;
}

static void one_round(uint64_t seed) {
    struct hak_slab *slabs[SLABS], *slab;
    pthread_t threads[PUSHERS];
    unsigned total = 0, home = 0;
    for (int i = 0; i < PUSHERS; i++)
        pushers[i].count = 0, pushers[i].seed = seed + (uint64_t)i;
    for (int i = 0; i < SLABS; i++)
        deal_blocks(slabs[i] = private_slab(CLASS, ALICE), &total);
    pushers_left = PUSHERS;
    for (int i = 0; i < PUSHERS; i++)
        pthread_create(&threads[i], NULL, push_share, &pushers[i]);
    for (int last = 0; !last;) {
        last = __atomic_load_n(&pushers_left, __ATOMIC_ACQUIRE) == 0;
        while ((slab = hak_remote_next(ALICE)) != NULL)
            home += hak_remote_take(slab);
        sched_yield();
    }
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(home, total);
    for (int i = 0; i < SLABS; i++) {
        CHECK_EQ(slabs[i]->used, 0);
        CHECK_EQ(slabs[i]->home + slabs[i]->linked_count, slabs[i]->carved);
        CHECK(!hak_remote_is_queued(slabs[i]));
        hak_superslab_unmap(hak_superslab_of(slabs[i]));
    }
}

static void blocks_of_many_pushers_come_home_exactly_once(void) {
    int64_t errors = COUNT(integrity_errors);
    for (unsigned round = 0; round < rounds_of(40); round++)
        one_round(round * 100 + 1);
    CHECK_EQ(COUNT(integrity_errors), errors);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_pushed_block_comes_back_to_its_slab);
    RUN(chains_of_many_pushers_all_come_back);
    RUN(a_slab_is_announced_once_however_much_is_pushed);
    RUN(every_owner_has_a_queue_of_its_own);
    RUN(taking_from_a_slab_nobody_pushed_to_brings_nothing);
    RUN(taking_early_leaves_an_empty_entry_in_the_queue);
    RUN(a_queued_slab_that_changed_hands_is_passed_to_its_new_owner);
    RUN(a_queued_slab_that_nobody_owns_any_more_is_knocked_for);
    RUN(a_push_to_a_slab_without_owner_knocks_and_queues_nothing);
    RUN(many_slabs_wait_in_one_queue);
    RUN(a_link_out_of_the_slab_ends_the_list_and_is_reported);
    RUN(a_block_of_another_slab_in_the_list_is_reported);
    RUN(more_blocks_than_were_handed_out_are_reported_and_left_alone);
    RUN(a_linked_list_that_is_a_ring_does_not_hold_the_owner_up);
    RUN(blocks_of_many_pushers_come_home_exactly_once);
    return check_report();
}
