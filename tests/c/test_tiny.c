/* tiny: what refills a front and takes back what it drains, when the pool cannot, and abuse. */
#include "heaps.h"

/* ---- refill ----------------------------------------------------------------------------- */

static void batches_grow_from_few_to_the_policys(void) {
    void *list = NULL;
    set_up();
    unsigned most = hak_policy_now()->front_refill[4], sum = 0;
    CHECK_EQ(hak_tiny_refill(&alice, 4, &list), 4);
    CHECK_EQ(hak_tiny_refill(&alice, 4, &list), 8);
    for (int i = 0; i < 20; i++) {
        unsigned got = hak_tiny_refill(&alice, 4, &list);
        CHECK_BETWEEN(got, 1, most);
        sum += got;
    }
    CHECK_EQ(length_of(list), sum + 12);
    CHECK_EQ(alice_count(4, HAK_CLASS_refills), 22);
    CHECK_EQ(alice_count(4, HAK_CLASS_refilled), sum + 12);
    hak_tiny_drain(&alice, 4, list, ~0u);
}

static void blocks_are_apart_and_of_the_threads_own_slabs(void) {
    enum { MANY = 5000 };
    static void *blocks[MANY];
    set_up();
    CHECK_EQ(take(&alice, 3, MANY, blocks), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        memset(blocks[i], 0x5a, hak_classes.size[3]);
        *(unsigned *)blocks[i] = i;
    }
    for (unsigned i = 0; i < MANY; i++) {
        if (!CHECK_EQ(*(unsigned *)blocks[i], i))
            break;
        CHECK_EQ(hak_zone.map[hak_unit_of(blocks[i])], hak_unit_word(ALICE, 3));
    }
    drain(&alice, 3, blocks, MANY);
}

/* ---- drain and EMPTY reuse --------------------------------------------------------------- */

static void a_drain_that_leaves_no_used_block_releases_the_slab(void) {
    enum { MANY = 3000 };
    static void *blocks[MANY];
    set_up();
    unsigned class = hak_class_of(256);
    take(&alice, class, MANY, blocks);
    int64_t active = CLASS_COUNT(class, active_slots);
    drain(&alice, class, blocks, MANY);
    CHECK(alice_count(class, HAK_CLASS_slab_empties) >= MANY / 256 - 1);
    CHECK(CLASS_COUNT(class, active_slots) <= active - (MANY / 256 - 1));
    CHECK_EQ(alice.bins[class].partial_count, 1); /* the last one is kept at hand */
}

static void without_empty_reuse_no_slab_is_released(void) {
    enum { MANY = 3000 };
    static void *blocks[MANY];
    set_up();
    unsigned class = hak_class_of(320);
    SET_KNOB(ss_empty_reuse, 0);
    take(&alice, class, MANY, blocks);
    int64_t active = CLASS_COUNT(class, active_slots);
    drain(&alice, class, blocks, MANY);
    CHECK_EQ(alice_count(class, HAK_CLASS_slab_empties), 0);
    CHECK_EQ(CLASS_COUNT(class, active_slots), active);
    SET_KNOB(ss_empty_reuse, 1);
}

static void slabs_released_by_one_thread_serve_another(void) {
    enum { MANY = 3000 };
    static void *blocks[MANY];
    set_up();
    unsigned class = hak_class_of(384);
    take(&alice, class, MANY, blocks);
    int64_t maps = COUNT(superslab_maps);
    drain(&alice, class, blocks, MANY);
    CHECK_EQ(take(&bob, class, MANY, blocks), MANY);
    CHECK(bob_counts.class[class][HAK_CLASS_stage_1] >= MANY / 170 - 2);
    CHECK(COUNT(superslab_maps) <= maps + 1);
    drain(&bob, class, blocks, MANY);
}

static void drained_blocks_are_handed_out_again(void) {
    enum { MANY = 1000 };
    static void *blocks[MANY];
    set_up();
    int64_t before = 0;
    for (int round = 0; round < 50; round++) {
        CHECK_EQ(take(&alice, 5, MANY, blocks), MANY);
        drain(&alice, 5, blocks, MANY);
        if (round == 1)
            before = COUNT(mapped_bytes);
    }
    CHECK_EQ(COUNT(mapped_bytes), before);
}

/* KEPT_PARTIAL in tiny.c: slabs beyond so many go to the mailbox while blocks of theirs may lie
 * in the front of the thread that publishes. */
static void blocks_of_a_slab_that_was_published_meanwhile_find_their_way_home(void) {
    enum { MANY = 60000 };
    static void *blocks[MANY];
    set_up();
    unsigned class = hak_class_of(1024);
    int64_t errors = COUNT(integrity_errors);
    struct check_rng rng = check_rng_seed(5);
    CHECK_EQ(take(&alice, class, 6000, blocks), 6000);
    for (unsigned i = 5999; i > 0; i--) {
        unsigned j = (unsigned)check_rng_between(&rng, 0, i);
        void *swap = blocks[i];
        blocks[i] = blocks[j];
        blocks[j] = swap;
    }
    for (unsigned i = 0; i < 6000; i += 60)
        drain(&alice, class, blocks + i, 60);
    CHECK(alice_count(class, HAK_CLASS_publishes) > 0);
    CHECK_EQ(COUNT(integrity_errors), errors);
    hak_tiny_end(&alice);
    for (struct hak_slab *slab; (slab = hak_pool_adopt(class, BOB, &bob_counts)) != NULL;) {
        CHECK_EQ(slab->used, 0);
        hak_pool_release(slab, &bob_counts);
    }
    CHECK_EQ(CLASS_COUNT(class, active_slots), 0);
    start(&alice, ALICE, &alice_counts);
}

/* ---- when the pool cannot ------------------------------------------------------------------- */

static void at_the_soft_cap_legacy_serves_and_the_failure_is_counted(void) {
    enum { MANY = 500 };
    static void *blocks[MANY];
    set_up();
    unsigned class = hak_class_of(1280);
    SET_KNOB_AT(tiny_cap, class, 2);
    while (CLASS_COUNT(class, shared_fail) + (int64_t)alice_count(class, HAK_CLASS_shared_fail) ==
           0) {
        void *list = NULL;
        if (hak_tiny_refill(&alice, class, &list) == 0) {
            blocks[0] = hak_tiny_fall_back(&alice, class);
            break;
        }
    }
    CHECK_EQ(alice_count(class, HAK_CLASS_shared_fail), 1);
    CHECK(blocks[0] != NULL);
    CHECK_EQ(hak_zone.map[hak_unit_of(blocks[0])], hak_unit_word(HAK_TAG_LEGACY, class));
    CHECK_EQ(CLASS_COUNT(class, legacy_allocs), 1);
    SET_KNOB_AT(tiny_cap, class, 0);
    void *list = NULL;
    CHECK(hak_tiny_refill(&alice, class, &list) > 0);
}

static void without_superslabs_every_refill_goes_to_legacy_uncounted(void) {
    void *list = NULL;
    set_up();
    unsigned class = hak_class_of(1500);
    SET_KNOB(superslab_enable, 0);
    CHECK_EQ(hak_tiny_refill(&alice, class, &list), 0);
    CHECK(hak_tiny_fall_back(&alice, class) != NULL);
    CHECK_EQ(alice_count(class, HAK_CLASS_shared_fail), 0);
    SET_KNOB(superslab_enable, 1);
}

static void a_refill_that_needs_new_memory_is_one_need(void) {
    void *list = NULL;
    unsigned class = hak_class_of(1792);
    set_up();
    while (hak_tiny_refill_used(&alice, class, &list) != 0)
        ;
    uint32_t needs = alice.needs; /* the last one is counted */
    CHECK(hak_tiny_refill_new(&alice, class, &list) != 0);
    CHECK_EQ(alice.needs, needs);
    hak_tiny_drain(&alice, class, list, ~0u);
}

static void adoption_comes_before_mapping_unless_the_knob_says_otherwise(void) {
    static void *blocks[4], *more[4];
    unsigned class = hak_class_of(1792);
    for (int must = 1; must >= 0; must--) {
        set_up();
        SET_KNOB(must_adopt, must);
        take(&alice, class, 4, blocks);
        hak_tiny_end(&alice);
        start(&alice, ALICE, &alice_counts);
        take(&bob, class, 4, more);
        CHECK_EQ(bob_counts.class[class][HAK_CLASS_adopts], must);
        drain(&bob, class, more, 4);
    }
    SET_KNOB(must_adopt, 1);
}

/* ---- abuse ---------------------------------------------------------------------------------- */

static void a_link_out_of_the_zone_ends_a_drain_and_is_reported(void) {
    void *blocks[6];
    set_up();
    int64_t errors = COUNT(integrity_errors);
    take(&alice, 9, 6, blocks);
    for (int i = 0; i < 6; i++)
        *(void **)blocks[i] = i < 5 ? blocks[i + 1] : NULL;
    *(uintptr_t *)blocks[2] = 0x4141414141414141;
    hak_tiny_drain(&alice, 9, blocks[0], ~0u);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
}

static void an_interior_pointer_ends_a_drain_and_is_reported(void) {
    void *blocks[2];
    set_up();
    int64_t errors = COUNT(integrity_errors);
    take(&alice, 9, 2, blocks);
    void *inside = (char *)blocks[1] + 8;
    *(void **)inside = NULL;
    *(void **)blocks[0] = inside;
    hak_tiny_drain(&alice, 9, blocks[0], ~0u);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
}

static void more_blocks_than_a_slab_handed_out_are_reported(void) {
    void *blocks[2];
    set_up();
    int64_t errors = COUNT(integrity_errors);
    take(&alice, 10, 2, blocks);
    drain(&alice, 10, blocks, 1);
    drain(&alice, 10, blocks, 2); /* blocks[0] for the second time */
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
}

/* Many slabs by turns, as after frees in disorder: each block is put home by itself. */
static void a_drain_in_disorder_empties_the_slabs_and_hands_out_each_block_once(void) {
    enum { MANY = 6000 };
    static void *blocks[MANY], *again[MANY];
    struct check_rng rng = check_rng_seed(77);
    set_up();
    unsigned class = hak_class_of(448); /* 40 slabs: more than a drain remembers at a time */
    CHECK_EQ(take(&alice, class, MANY, blocks), MANY);
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            unsigned other = (unsigned)check_rng_between(&rng, i, MANY - 1);
            void *block = blocks[other];
            blocks[other] = blocks[i];
            blocks[i] = block;
        }
        drain(&alice, class, blocks, MANY);
        CHECK_EQ(CLASS_COUNT(class, active_slots), 1);
        CHECK_EQ(take(&alice, class, MANY, again), MANY);
        for (unsigned i = 0; i < MANY; i++)
            *(unsigned *)again[i] = i;
        for (unsigned i = 0; i < MANY; i++)
            if (!CHECK_EQ(*(unsigned *)again[i], i))
                return;
        memcpy(blocks, again, sizeof blocks);
    }
    drain(&alice, class, blocks, MANY);
}

static void a_block_twice_in_a_drain_in_disorder_is_reported_once(void) {
    enum { MANY = 400 };
    static void *blocks[MANY], *list[MANY];
    set_up();
    unsigned class = hak_class_of(1024);
    int64_t errors = COUNT(integrity_errors);
    CHECK_EQ(take(&alice, class, MANY, blocks), MANY);
    for (unsigned i = 0; i < 200; i++) /* from slab to slab */
        list[i] = blocks[i % 2 * 200 + i / 2];
    drain(&alice, class, list, 100);
    CHECK_EQ(COUNT(integrity_errors), errors);
    for (unsigned i = 0; i < 100; i++)
        list[i] = list[100 + i];
    list[60] = blocks[0];
    drain(&alice, class, list, 100);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    start(&alice, ALICE, &alice_counts);
    start(&bob, BOB, &bob_counts);
    RUN(batches_grow_from_few_to_the_policys);
    RUN(blocks_are_apart_and_of_the_threads_own_slabs);
    RUN(a_drain_that_leaves_no_used_block_releases_the_slab);
    RUN(without_empty_reuse_no_slab_is_released);
    RUN(slabs_released_by_one_thread_serve_another);
    RUN(drained_blocks_are_handed_out_again);
    RUN(blocks_of_a_slab_that_was_published_meanwhile_find_their_way_home);
    RUN(at_the_soft_cap_legacy_serves_and_the_failure_is_counted);
    RUN(without_superslabs_every_refill_goes_to_legacy_uncounted);
    RUN(a_refill_that_needs_new_memory_is_one_need);
    RUN(adoption_comes_before_mapping_unless_the_knob_says_otherwise);
    RUN(a_link_out_of_the_zone_ends_a_drain_and_is_reported);
    RUN(an_interior_pointer_ends_a_drain_and_is_reported);
    RUN(more_blocks_than_a_slab_handed_out_are_reported);
    RUN(a_drain_in_disorder_empties_the_slabs_and_hands_out_each_block_once);
    RUN(a_block_twice_in_a_drain_in_disorder_is_reported_once);
    return check_report();
}
