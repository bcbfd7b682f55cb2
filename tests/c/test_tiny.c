/* tiny: what refills a front and takes back what it drains. One thread plays every heap. */
#include "tiny/tiny.h"

#include "core/codes.h"
#include "slabs.h"

static struct hak_heap alice, bob;
static struct hak_block alice_counts, bob_counts;

static void start(struct hak_heap *heap, uint32_t tag, struct hak_block *counts) {
    memset(heap, 0, sizeof *heap);
    memset(counts, 0, sizeof *counts);
    hak_tiny_start(heap, tag, counts);
}

/* Both heaps new; the knobs of the tests at their defaults. */
static void set_up(void) {
    hak_tiny_end(&alice);
    hak_tiny_end(&bob);
    start(&alice, ALICE, &alice_counts);
    start(&bob, BOB, &bob_counts);
}

static unsigned length_of(void *list) {
    unsigned n = 0;
    for (; list != NULL; list = *(void **)list)
        n++;
    return n;
}

/* `count` blocks out of a heap, by as many refills as it takes. */
static unsigned take(struct hak_heap *heap, unsigned class, unsigned count, void **blocks) {
    void *list = NULL;
    unsigned got = 0;
    while (got < count) {
        if (list == NULL && hak_tiny_refill(heap, class, &list) == 0)
            break;
        blocks[got++] = list;
        list = *(void **)list;
    }
    if (list != NULL)
        hak_tiny_drain(heap, class, list, ~0u);
    return got;
}

static void drain(struct hak_heap *heap, unsigned class, void **blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        *(void **)blocks[i] = i + 1 < count ? blocks[i + 1] : NULL;
    if (count != 0)
        hak_tiny_drain(heap, class, blocks[0], count);
}

static void free_remote(struct hak_heap *heap, unsigned class, void **blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        hak_tiny_free_remote(heap, hak_unit_of(blocks[i]), class, blocks[i]);
}

static uint64_t alice_count(unsigned class, int word) {
    return alice_counts.class[class][word];
}

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

/* ---- remote frees ---------------------------------------------------------------------------- */

static void remote_frees_return_to_their_owner_at_the_next_refill(void) {
    enum { MANY = 2000 };
    static void *blocks[MANY];
    set_up();
    unsigned class = hak_class_of(96);
    take(&alice, class, MANY, blocks);
    free_remote(&bob, class, blocks, MANY);
    hak_tiny_flush_outbox(&bob);
    CHECK_EQ(bob_counts.class[class][HAK_CLASS_remote_frees], MANY);
    int64_t bytes = COUNT(mapped_bytes);
    CHECK_EQ(take(&alice, class, MANY, blocks), MANY);
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), MANY);
    CHECK_EQ(COUNT(mapped_bytes), bytes);
    drain(&alice, class, blocks, MANY);
}

static void remote_frees_of_another_class_are_taken_in_as_well(void) {
    void *others[100], *one = NULL;
    set_up();
    take(&alice, 7, 100, others);
    free_remote(&bob, 7, others, 100);
    hak_tiny_flush_outbox(&bob);
    take(&alice, 8, 1, &one);
    CHECK_EQ(alice_count(7, HAK_CLASS_remote_drained), 100);
    drain(&alice, 8, &one, 1);
}

static void a_remote_drain_that_empties_a_slab_releases_it(void) {
    enum { MANY = 400 };
    static void *blocks[MANY];
    void *one = NULL;
    set_up();
    unsigned class = hak_class_of(512);
    take(&alice, class, MANY, blocks);
    free_remote(&bob, class, blocks, MANY);
    hak_tiny_flush_outbox(&bob);
    take(&alice, class, 1, &one);
    CHECK(alice_count(class, HAK_CLASS_slab_empties) >= 2);
    drain(&alice, class, &one, 1);
}

/* All blocks are at home when the slab's own free list and its remote list together hold them. */
static void a_slab_whose_blocks_are_home_on_both_lists_is_released(void) {
    static void *blocks[200];
    void *of_first[200], *other = NULL;
    unsigned count = 0, class = hak_class_of(448);
    set_up();
    take(&alice, class, 200, blocks); /* one slab and a part of a second one */
    for (int i = 0; i < 200; i++)
        if (hak_unit_of(blocks[i]) == hak_unit_of(blocks[0]))
            of_first[count++] = blocks[i];
    CHECK_BETWEEN(count, 100, 199);
    drain(&alice, class, of_first, 3);
    free_remote(&bob, class, of_first + 3, 50);
    hak_tiny_flush_outbox(&bob);
    take(&alice, 1, 1, &other); /* a refill of another class looks into the queue */
    uint64_t empties = alice_count(class, HAK_CLASS_slab_empties);
    drain(&alice, class, of_first + 53, count - 53);
    CHECK_EQ(alice_count(class, HAK_CLASS_slab_empties), empties + 1);
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), 50);
    drain(&alice, 1, &other, 1);
}

static void blocks_taken_in_from_others_are_counted_once(void) {
    static void *blocks[140]; /* nearly all of a slab: none of them can stay unseen */
    unsigned class = hak_class_of(448);
    void *other = NULL;
    set_up();
    take(&alice, class, 60, blocks);
    drain(&alice, class, blocks, 3); /* the free list is not empty, so nothing is in a hurry */
    for (int i = 0; i < 5; i++) {
        free_remote(&bob, class, blocks + 3 + 10 * i, 10);
        hak_tiny_flush_outbox(&bob);
        take(&alice, 1, 1, &other);
        drain(&alice, 1, &other, 1);
    }
    memmove(blocks, blocks + 53, 7 * sizeof blocks[0]); /* those that she has still */
    CHECK_EQ(take(&alice, class, 133, blocks + 7), 133);
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), 50);
    drain(&alice, class, blocks, 140);
}

static void chains_leave_the_outbox_after_so_many_bytes_of_any_size(void) {
    enum { MANY = 80 };
    static void *blocks[7][MANY];
    const unsigned sizes[7] = {1024, 896, 768, 640, 512, 448, 384};
    set_up();
    for (int i = 0; i < 7; i++)
        take(&alice, hak_class_of(sizes[i]), MANY, blocks[i]);
    size_t bytes = 0, at_first_sight = 0;
    for (int n = 0; n < MANY; n++)
        for (int i = 0; i < 7; i++) {
            free_remote(&bob, hak_class_of(sizes[i]), &blocks[i][n], 1);
            bytes += sizes[i];
            if (at_first_sight == 0 && hak_remote_waiting(ALICE))
                at_first_sight = bytes;
        }
    CHECK_BETWEEN(at_first_sight, 192 * 1024, 257 * 1024);
    hak_tiny_flush_outbox(&bob);
    hak_tiny_end(&alice);
    start(&alice, ALICE, &alice_counts);
}

static void the_outbox_sends_chains_not_single_blocks(void) {
    void *blocks[10];
    set_up();
    take(&alice, 2, 10, blocks);
    free_remote(&bob, 2, blocks, 10);
    CHECK(!hak_remote_waiting(ALICE)); /* still in the outbox */
    hak_tiny_flush_outbox(&bob);
    CHECK(hak_remote_waiting(ALICE));
    struct hak_slab *slab = hak_remote_next(ALICE);
    CHECK_EQ(hak_remote_take(slab), 10);
}

static void a_thread_without_a_heap_can_free_too(void) {
    void *blocks[3];
    set_up();
    take(&alice, 2, 3, blocks);
    int64_t frees = CLASS_COUNT(2, remote_frees);
    for (int i = 0; i < 3; i++)
        hak_tiny_free_homeless(hak_unit_of(blocks[i]), 2, blocks[i]);
    CHECK_EQ(CLASS_COUNT(2, remote_frees), frees + 3);
    struct hak_slab *slab = hak_remote_next(ALICE);
    CHECK(slab != NULL);
    CHECK_EQ(hak_remote_take(slab), 3);
}

/* ---- the end of a thread --------------------------------------------------------------------- */

static void a_thread_that_ends_without_used_blocks_leaves_no_active_slot(void) {
    enum { MANY = 1000 };
    static void *blocks[MANY];
    set_up();
    unsigned class = hak_class_of(640);
    take(&alice, class, MANY, blocks);
    drain(&alice, class, blocks, MANY);
    hak_tiny_end(&alice);
    CHECK_EQ(CLASS_COUNT(class, active_slots), 0);
    CHECK_EQ(alice_count(class, HAK_CLASS_publishes), 0);
    start(&alice, ALICE, &alice_counts);
}

static void live_blocks_of_an_ended_thread_are_adopted_with_their_slab(void) {
    static void *blocks[300], *more[300];
    set_up();
    unsigned class = hak_class_of(768);
    take(&alice, class, 300, blocks);
    for (int i = 0; i < 300; i++)
        memset(blocks[i], i, 768);
    hak_tiny_end(&alice);
    int64_t bytes = COUNT(mapped_bytes);
    drain(&alice, class, NULL, 0);
    free_remote(&bob, class, blocks, 150);
    hak_tiny_flush_outbox(&bob);
    CHECK_EQ(take(&bob, class, 140, more), 140);
    CHECK(bob_counts.class[class][HAK_CLASS_adopts] > 0);
    CHECK_EQ(COUNT(mapped_bytes), bytes);
    for (int i = 150; i < 300; i++)
        CHECK_EQ(*((unsigned char *)blocks[i] + 700), (unsigned char)i);
    start(&alice, ALICE, &alice_counts);
}

static void what_waits_in_the_outbox_is_sent_when_the_thread_ends(void) {
    void *blocks[5];
    set_up();
    take(&alice, 6, 5, blocks);
    free_remote(&bob, 6, blocks, 5);
    hak_tiny_end(&bob);
    struct hak_slab *slab = hak_remote_next(ALICE);
    CHECK(slab != NULL);
    CHECK_EQ(hak_remote_take(slab), 5);
    start(&bob, BOB, &bob_counts);
}

static void blocks_freed_to_a_thread_that_has_ended_are_not_lost(void) {
    static void *blocks[64];
    set_up();
    unsigned class = hak_class_of(900);
    take(&alice, class, 64, blocks);
    hak_tiny_end(&alice);
    free_remote(&bob, class, blocks, 64);
    hak_tiny_flush_outbox(&bob);
    void *one = NULL;
    take(&bob, class, 1, &one);
    CHECK_EQ(CLASS_COUNT(class, active_slots), 1);
    drain(&bob, class, &one, 1);
    start(&alice, ALICE, &alice_counts);
}

/* ---- when the pool cannot -----------------------------------------------------------------------
 */

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

/* ---- abuse
 * ----------------------------------------------------------------------------------------- */

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
    RUN(remote_frees_return_to_their_owner_at_the_next_refill);
    RUN(remote_frees_of_another_class_are_taken_in_as_well);
    RUN(a_remote_drain_that_empties_a_slab_releases_it);
    RUN(a_slab_whose_blocks_are_home_on_both_lists_is_released);
    RUN(blocks_taken_in_from_others_are_counted_once);
    RUN(chains_leave_the_outbox_after_so_many_bytes_of_any_size);
    RUN(the_outbox_sends_chains_not_single_blocks);
    RUN(a_thread_without_a_heap_can_free_too);
    RUN(a_thread_that_ends_without_used_blocks_leaves_no_active_slot);
    RUN(live_blocks_of_an_ended_thread_are_adopted_with_their_slab);
    RUN(what_waits_in_the_outbox_is_sent_when_the_thread_ends);
    RUN(blocks_freed_to_a_thread_that_has_ended_are_not_lost);
    RUN(at_the_soft_cap_legacy_serves_and_the_failure_is_counted);
    RUN(without_superslabs_every_refill_goes_to_legacy_uncounted);
    RUN(adoption_comes_before_mapping_unless_the_knob_says_otherwise);
    RUN(a_link_out_of_the_zone_ends_a_drain_and_is_reported);
    RUN(an_interior_pointer_ends_a_drain_and_is_reported);
    RUN(more_blocks_than_a_slab_handed_out_are_reported);
    return check_report();
}
