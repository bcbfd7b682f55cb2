/* What is idle serves others before new memory does: lists and slabs of a class that is not used,
 * and what has been freed of the slabs of a thread that sleeps. */
#include <unistd.h>

#include "hak.h"
#include "heaps.h"

/* ---- classes that are not used --------------------------------------------------------------- */

static void *blocks[20000];

static void hold(size_t bytes, unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++)
        blocks[i] = hak_malloc(bytes);
}

static void let_go(unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++)
        hak_free(blocks[i]);
}

static void a_class_that_is_not_used_keeps_nothing_when_others_take_new_memory(void) {
    unsigned idle = hak_class_of(48);
    hold(48, 0, 3000);
    let_go(0, 3000);
    CHECK(CLASS_COUNT(idle, active_slots) > 0);
    hold(512, 0, 4000);
    CHECK_EQ(CLASS_COUNT(idle, active_slots), 0);
    let_go(0, 4000);
}

static void a_class_that_is_used_keeps_its_list(void) {
    unsigned used = hak_class_of(80);
    hold(80, 0, 400);
    let_go(0, 400);
    int64_t refills = CLASS_COUNT(used, refills);
    for (unsigned i = 0; i < 6000; i++) {
        hold(448, i, 1);
        hak_free(hak_malloc(80));
    }
    CHECK_EQ(CLASS_COUNT(used, refills), refills);
    let_go(0, 6000);
}

static void sizes_in_turns_take_the_memory_of_one(void) {
    int64_t bytes = 0;
    for (unsigned turn = 0; turn < 20; turn++) {
        unsigned count = 1000000 / (100 + turn * 24);
        hold(100 + turn * 24, 0, count);
        let_go(0, count);
        if (turn == 1)
            bytes = COUNT(mapped_bytes);
    }
    CHECK(COUNT(mapped_bytes) <= bytes + (1 << 20));
}

static void let_go_at_random(struct check_rng *rng, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        unsigned other = (unsigned)check_rng_between(rng, i, count - 1);
        void *block = blocks[other];
        blocks[other] = blocks[i];
        hak_free(block);
    }
}

static int64_t slots_in_memory(void) {
    int64_t slots = 0;
    for (unsigned class = 0; class < hak_classes.tiny_count; class++)
        slots += CLASS_COUNT(class, active_slots) + CLASS_COUNT(class, empty_slots);
    return slots;
}

/* What stays in a list after a burst was freed at random, and holds a block in each slab: the
 * slabs of the last few bursts stay, not those of all sizes. */
static void bursts_that_are_freed_at_random_do_not_add_up(void) {
    struct check_rng rng = check_rng_seed(5);
    int64_t before = slots_in_memory();
    for (unsigned burst = 0; burst < 2000; burst++) {
        unsigned count = (unsigned)check_rng_between(&rng, 200, 2000);
        hold(check_rng_between(&rng, 8, 512), 0, count);
        let_go_at_random(&rng, count);
    }
    CHECK_BETWEEN(slots_in_memory(), 1, before + 48);
}

/* ---- threads that sleep ---------------------------------------------------------------------- */

enum { MANY = 1000 };

static void free_all_of_alice(unsigned class, void **of_alice) {
    set_up();
    CHECK_EQ(take(&alice, class, MANY, of_alice), MANY);
    free_remote(&bob, class, of_alice, MANY);
    hak_tiny_flush_outbox(&bob);
}

/* Any other open heap of this process is passed by, too. */
static void visit_all(void) {
    for (int i = 0; i < 4; i++) /* once to see that it sleeps, again to take in */
        hak_tiny_visit_others(&bob);
}

static void what_is_freed_of_a_thread_that_sleeps_comes_home(void) {
    static void *of_alice[MANY];
    unsigned class = hak_class_of(640);
    free_all_of_alice(class, of_alice);
    int64_t active = CLASS_COUNT(class, active_slots);
    visit_all();
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), MANY);
    CHECK_BETWEEN(CLASS_COUNT(class, active_slots), 0, active - 8);
    int64_t bytes = COUNT(mapped_bytes);
    CHECK_EQ(take(&bob, class, MANY - 200, of_alice), MANY - 200);
    CHECK_EQ(COUNT(mapped_bytes), bytes);
    drain(&bob, class, of_alice, MANY - 200);
}

static void a_thread_that_refills_is_let_alone(void) {
    static void *of_alice[MANY];
    unsigned class = hak_class_of(768);
    free_all_of_alice(class, of_alice);
    alice.seen_turns = alice.turns - 1; /* it has refilled since the last visit */
    hak_tiny_visit_others(&bob);
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), 0);
    CHECK_EQ(alice.seen_turns, alice.turns);
}

static void a_thread_that_is_in_its_slabs_is_let_alone(void) {
    static void *of_alice[MANY];
    unsigned class = hak_class_of(896);
    free_all_of_alice(class, of_alice);
    hak_lock_take(&alice.lock);
    visit_all();
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), 0);
    hak_lock_release(&alice.lock);
    visit_all();
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), MANY);
}

static void a_thread_that_has_ended_is_let_alone(void) {
    static void *of_alice[MANY];
    unsigned class = hak_class_of(1000);
    set_up();
    take(&alice, class, MANY, of_alice);
    hak_tiny_end(&alice);
    free_remote(&bob, class, of_alice, MANY);
    hak_tiny_flush_outbox(&bob);
    uint64_t drained = alice_count(class, HAK_CLASS_remote_drained);
    visit_all();
    CHECK_EQ(alice_count(class, HAK_CLASS_remote_drained), drained);
    start(&alice, ALICE, &alice_counts);
}

/* Threads hand batches on to the next one, which frees them, and nap: whoever is awake takes new
 * memory, and visits those that are not, or have just woken up. */
enum { RING = 4, BATCH = 600 };

struct batch {
    size_t bytes;
    unsigned char *blocks[BATCH];
};

static struct batch *mailbox[RING];

static void check_and_free(struct batch *batch) {
    for (int i = 0; batch != NULL && i < BATCH; i++) {
        CHECK_EQ(batch->blocks[i][0], (unsigned char)i);
        CHECK_EQ(batch->blocks[i][batch->bytes - 1], (unsigned char)(batch->bytes + (size_t)i));
        hak_free(batch->blocks[i]);
    }
    free(batch);
}

static struct batch *fill(size_t bytes) {
    struct batch *batch = malloc(sizeof *batch);
    batch->bytes = bytes;
    for (int i = 0; i < BATCH; i++) {
        batch->blocks[i] = hak_malloc(bytes);
        batch->blocks[i][0] = (unsigned char)i;
        batch->blocks[i][bytes - 1] = (unsigned char)(bytes + (size_t)i);
    }
    return batch;
}

static void *hand_on(void *argument) {
    size_t me = *(size_t *)argument;
    for (unsigned round = 0; round < rounds_of(150); round++) {
        size_t bytes = 2 + (round * 37 + me * 211) % 1900;
        check_and_free(__atomic_exchange_n(&mailbox[me], NULL, __ATOMIC_ACQ_REL));
        struct batch *mine = fill(bytes), **next = &mailbox[(me + 1) % RING];
        check_and_free(__atomic_exchange_n(next, mine, __ATOMIC_ACQ_REL));
        if ((round + me) % 5 == 0)
            usleep(300);
    }
    return NULL;
}

static void threads_that_are_visited_lose_no_block(void) {
    size_t names[RING] = {0, 1, 2, 3};
    run_threads(RING, hand_on, names, sizeof names[0]);
    for (int i = 0; i < RING; i++)
        check_and_free(__atomic_exchange_n(&mailbox[i], NULL, __ATOMIC_ACQ_REL));
    CHECK_EQ(COUNT(integrity_errors), 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_class_that_is_not_used_keeps_nothing_when_others_take_new_memory);
    RUN(a_class_that_is_used_keeps_its_list);
    RUN(sizes_in_turns_take_the_memory_of_one);
    RUN(bursts_that_are_freed_at_random_do_not_add_up);
    start(&alice, ALICE, &alice_counts);
    start(&bob, BOB, &bob_counts);
    RUN(what_is_freed_of_a_thread_that_sleeps_comes_home);
    RUN(a_thread_that_refills_is_let_alone);
    RUN(a_thread_that_is_in_its_slabs_is_let_alone);
    RUN(a_thread_that_has_ended_is_let_alone);
    RUN(threads_that_are_visited_lose_no_block);
    return check_report();
}
