/* tiny: what other threads free, and what a thread leaves behind when it ends. */
#include "heaps.h"

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

static void blocks_of_a_class_under_a_cap_do_not_wait_long(void) {
    static void *blocks[40];
    unsigned class = hak_class_of(1024);
    set_up();
    SET_KNOB_AT(tiny_cap, class, 2);
    take(&alice, class, 40, blocks);
    free_remote(&bob, class, blocks, 10);
    CHECK(!hak_remote_waiting(ALICE));
    free_remote(&bob, class, blocks + 10, 10);
    CHECK(hak_remote_waiting(ALICE));
    SET_KNOB_AT(tiny_cap, class, 0);
    drain(&alice, class, blocks + 20, 20);
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
    static void *blocks[60]; /* fewer than a slab has */
    set_up();
    unsigned class = hak_class_of(900);
    take(&alice, class, 60, blocks);
    hak_tiny_end(&alice);
    free_remote(&bob, class, blocks, 60);
    hak_tiny_flush_outbox(&bob);
    void *one = NULL;
    take(&bob, class, 1, &one);
    CHECK_EQ(CLASS_COUNT(class, active_slots), 1);
    drain(&bob, class, &one, 1);
    start(&alice, ALICE, &alice_counts);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    start(&alice, ALICE, &alice_counts);
    start(&bob, BOB, &bob_counts);
    RUN(remote_frees_return_to_their_owner_at_the_next_refill);
    RUN(remote_frees_of_another_class_are_taken_in_as_well);
    RUN(a_remote_drain_that_empties_a_slab_releases_it);
    RUN(a_slab_whose_blocks_are_home_on_both_lists_is_released);
    RUN(blocks_taken_in_from_others_are_counted_once);
    RUN(chains_leave_the_outbox_after_so_many_bytes_of_any_size);
    RUN(blocks_of_a_class_under_a_cap_do_not_wait_long);
    RUN(the_outbox_sends_chains_not_single_blocks);
    RUN(a_thread_without_a_heap_can_free_too);
    RUN(a_thread_that_ends_without_used_blocks_leaves_no_active_slot);
    RUN(live_blocks_of_an_ended_thread_are_adopted_with_their_slab);
    RUN(what_waits_in_the_outbox_is_sent_when_the_thread_ends);
    RUN(blocks_freed_to_a_thread_that_has_ended_are_not_lost);
    return check_report();
}
