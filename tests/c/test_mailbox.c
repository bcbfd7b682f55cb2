/* slab/shared_pool: publish and adopt, and slots that change sides on the way. */
#include "core/codes.h"
#include "slabs.h"

static struct hak_block counts;
static struct hak_pool_outcome outcome;

static struct hak_slab *acquire(unsigned class, uint32_t owner) {
    return hak_pool_acquire(class, owner, 1, &counts, &outcome);
}

static struct hak_slab *adopt(unsigned class, uint32_t owner) {
    return hak_pool_adopt(class, owner, &counts);
}

/* Alice leaves a slab with `count` used blocks. */
static struct hak_slab *leave_slab(unsigned class, void **blocks, unsigned count) {
    struct hak_slab *slab = acquire(class, ALICE);
    CHECK_EQ(take_blocks(slab, count, blocks), count);
    hak_pool_publish(slab, &counts);
    return slab;
}

static void a_published_slab_is_adopted_with_its_blocks(void) {
    void *blocks[9];
    struct hak_slab *slab = leave_slab(2, blocks, 9);
    CHECK_EQ(hak_slot_state(state_of(slab)), HAK_SLOT_PUBLISHED);
    CHECK_EQ(hak_slab_owner(slab), HAK_TAG_NOBODY);
    CHECK(adopt(2, BOB) == slab);
    CHECK_EQ(hak_slab_owner(slab), BOB);
    CHECK_EQ(hak_zone.map[hak_slab_unit(slab)], hak_unit_word(BOB, 2));
    CHECK_EQ(hak_slot_state(state_of(slab)), HAK_SLOT_ACTIVE);
    CHECK_EQ(slab->used, 9);
    CHECK(adopt(2, BOB) == NULL);
}

static void publishing_and_adopting_are_counted_and_change_no_gauge(void) {
    void *blocks[1];
    uint64_t *word = counts.class[3];
    uint64_t publishes = word[HAK_CLASS_publishes], adopts = word[HAK_CLASS_adopts];
    leave_slab(3, blocks, 1);
    int64_t active = CLASS_COUNT(3, active_slots);
    CHECK_EQ(word[HAK_CLASS_publishes], publishes + 1);
    adopt(3, BOB);
    CHECK_EQ(word[HAK_CLASS_adopts], adopts + 1);
    CHECK_EQ(CLASS_COUNT(3, active_slots), active);
}

static void a_slab_is_adopted_by_takers_of_its_class_only(void) {
    void *blocks[1];
    struct hak_slab *slab = leave_slab(4, blocks, 1);
    CHECK(adopt(5, BOB) == NULL);
    CHECK(adopt(4, BOB) == slab);
}

static void blocks_freed_while_nobody_owned_the_slab_come_with_it(void) {
    void *blocks[6];
    struct hak_slab *slab = leave_slab(2, blocks, 6);
    push_blocks(slab, blocks, 4);
    CHECK(adopt(2, BOB) == slab);
    CHECK_EQ(slab->used, 2);
    CHECK_EQ(slab->linked_count, 4);
    push_blocks(slab, blocks + 4, 1); /* the new owner is told of this one */
    CHECK(hak_remote_next(BOB) == slab);
    CHECK_EQ(hak_remote_take(slab), 1);
}

static void all_published_slabs_are_found(void) {
    enum { MANY = 40 };
    void *blocks[MANY];
    struct hak_slab *slabs[MANY];
    unsigned found = 0;
    for (int i = 0; i < MANY; i++)
        slabs[i] = leave_slab(6, &blocks[i], 1);
    while (adopt(6, BOB) != NULL)
        found++;
    CHECK_EQ(found, MANY);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(hak_slab_owner(slabs[i]), BOB);
}

static void without_adoption_a_slab_stays_until_all_its_blocks_are_home(void) {
    void *blocks[2];
    SET_KNOB(ss_adopt, 0);
    struct hak_slab *slab = leave_slab(7, blocks, 2);
    CHECK(adopt(7, BOB) == NULL);
    push_blocks(slab, blocks, 1);
    CHECK(acquire(7, BOB) != slab);
    push_blocks(slab, blocks + 1, 1);
    CHECK(acquire(7, BOB) == slab);
    SET_KNOB(ss_adopt, 1);
}

/* ---- slots that changed sides since they were listed --------------------------------------- */

/* The scan took the slab; its entry in the mailbox is stale from then on. */
static struct hak_slab *scanned_slab(unsigned class) {
    void *blocks[2];
    struct hak_slab *slab = leave_slab(class, blocks, 2);
    push_blocks(slab, blocks, 2);
    CHECK(acquire(class, BOB) == slab);
    return slab;
}

static void a_slab_that_the_scan_took_is_not_adopted_as_well(void) {
    struct hak_slab *slab = scanned_slab(8);
    CHECK_EQ(hak_slab_owner(slab), BOB);
    CHECK(adopt(8, CAROL) == NULL);
    CHECK_EQ(hak_slab_owner(slab), BOB);
}

static void a_scanned_slab_published_again_is_found_in_the_mailbox(void) {
    void *block;
    struct hak_slab *slab = scanned_slab(9);
    take_blocks(slab, 1, &block);
    hak_pool_publish(slab, &counts);
    CHECK(adopt(9, CAROL) == slab);
    CHECK(adopt(9, CAROL) == NULL);
}

static void a_scanned_slab_that_became_empty_is_found_after_an_adopter_looked(void) {
    struct hak_slab *slab = scanned_slab(10);
    hak_pool_release(slab, &counts);
    CHECK(adopt(10, CAROL) == NULL); /* moves the entry to where it belongs */
    CHECK(acquire(10, CAROL) == slab);
    CHECK(acquire(10, CAROL) != slab);
}

static void a_scanned_slab_that_became_empty_is_found_though_nobody_adopts(void) {
    struct hak_slab *slab = scanned_slab(11);
    hak_pool_release(slab, &counts);
    CHECK(acquire(11, CAROL) == slab);
    adopt(11, CAROL); /* leaves no entry for the tests below */
}

static void an_adopted_slab_can_be_published_again_and_again(void) {
    void *block;
    struct hak_slab *slab = leave_slab(12, &block, 1);
    for (int i = 0; i < 100; i++) {
        uint32_t taker = i % 2 == 0 ? BOB : CAROL;
        CHECK(adopt(12, taker) == slab);
        CHECK_EQ(hak_slab_owner(slab), taker);
        hak_pool_publish(slab, &counts);
    }
    CHECK(adopt(12, BOB) == slab);
    CHECK_EQ(slab->used, 1);
}

/* ---- knocks and queues around publishing ------------------------------------------------------
 */

static void a_slab_published_while_it_waits_in_a_queue_is_not_taken_as_empty(void) {
    void *blocks[2];
    struct hak_slab *slab = acquire(13, ALICE);
    take_blocks(slab, 2, blocks);
    push_blocks(slab, blocks, 1); /* announced to Alice, who ends before she looks */
    hak_pool_publish(slab, &counts);
    push_blocks(slab, blocks + 1, 1);
    CHECK(hak_remote_is_queued(slab));
    struct hak_slab *other = acquire(13, BOB);
    CHECK(other != slab);                  /* it is still linked in Alice's queue */
    CHECK(hak_remote_next(ALICE) == NULL); /* her last look passes it on */
    CHECK(!hak_remote_is_queued(slab));
    CHECK(acquire(13, BOB) == slab);
    CHECK_EQ(slab->used, 0);
}

static void a_slab_adopted_while_it_waits_in_its_old_owners_queue_is_passed_on(void) {
    void *blocks[2];
    struct hak_slab *slab = acquire(14, ALICE);
    take_blocks(slab, 2, blocks);
    push_blocks(slab, blocks, 1);
    hak_pool_publish(slab, &counts);
    CHECK(adopt(14, BOB) == slab);
    push_blocks(slab, blocks + 1, 1);
    CHECK(hak_remote_next(BOB) == NULL);
    CHECK(hak_remote_next(ALICE) == NULL);
    CHECK(hak_remote_next(BOB) == slab);
    hak_remote_take(slab);
    CHECK_EQ(slab->used, 0);
}

static void a_knock_survives_a_scan_that_came_too_early(void) {
    void *blocks[3];
    SET_KNOB(ss_adopt, 0);
    struct hak_slab *slab = leave_slab(15, blocks, 3);
    push_blocks(slab, blocks, 1);
    CHECK(acquire(15, BOB) != slab);
    push_blocks(slab, blocks + 1, 1);
    CHECK(acquire(15, BOB) != slab);
    push_blocks(slab, blocks + 2, 1);
    CHECK(acquire(15, BOB) == slab);
    SET_KNOB(ss_adopt, 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_published_slab_is_adopted_with_its_blocks);
    RUN(publishing_and_adopting_are_counted_and_change_no_gauge);
    RUN(a_slab_is_adopted_by_takers_of_its_class_only);
    RUN(blocks_freed_while_nobody_owned_the_slab_come_with_it);
    RUN(all_published_slabs_are_found);
    RUN(without_adoption_a_slab_stays_until_all_its_blocks_are_home);
    RUN(a_slab_that_the_scan_took_is_not_adopted_as_well);
    RUN(a_scanned_slab_published_again_is_found_in_the_mailbox);
    RUN(a_scanned_slab_that_became_empty_is_found_after_an_adopter_looked);
    RUN(a_scanned_slab_that_became_empty_is_found_though_nobody_adopts);
    RUN(an_adopted_slab_can_be_published_again_and_again);
    RUN(a_slab_published_while_it_waits_in_a_queue_is_not_taken_as_empty);
    RUN(a_slab_adopted_while_it_waits_in_its_old_owners_queue_is_passed_on);
    RUN(a_knock_survives_a_scan_that_came_too_early);
    return check_report();
}
