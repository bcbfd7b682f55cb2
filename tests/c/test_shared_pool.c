/* slab/shared_pool: acquire's four stages in their order, the soft cap, and the gauges. */
#include "slab/shared_pool.h"

#include "pools.h"

#define STAGE(class, id) ((int64_t)counts.class[class][HAK_CLASS_stage_##id])

/* A slab that its owner left with `count` used blocks. */
static struct hak_slab *leave_slab(unsigned class, void **blocks, unsigned count) {
    struct hak_slab *slab = acquire(class);
    CHECK_EQ(take_blocks(slab, count, blocks), count);
    hak_pool_publish(slab, &counts);
    return slab;
}

/* ---- one stage each -------------------------------------------------------------------- */

static void with_nothing_in_the_pool_a_superslab_is_mapped(void) {
    use_up_the_pool();
    int64_t maps = COUNT(superslab_maps);
    CHECK_EQ(stage_of_acquire(2), HAK_STAGE_NEW_SUPERSLAB);
    CHECK_EQ(COUNT(superslab_maps), maps + 1);
    CHECK_EQ(last->index, 0);
    CHECK_EQ(hak_slab_owner(last), ALICE);
    CHECK_EQ(last->class, 2);
    CHECK_EQ(last->used, 0);
}

static void further_slots_of_a_superslab_are_claimed_in_order(void) {
    use_up_the_pool();
    acquire(2);
    struct hak_superslab *superslab = hak_superslab_of(last);
    CHECK_EQ(stage_of_acquire(2), HAK_STAGE_UNUSED_SLOT);
    superslab = hak_superslab_of(last);
    for (unsigned i = last->index + 1; i < superslab->slots; i++) {
        CHECK_EQ(stage_of_acquire(i % 8), HAK_STAGE_UNUSED_SLOT);
        CHECK(hak_superslab_of(last) == superslab);
        CHECK_EQ(last->index, i);
    }
    CHECK_EQ(stage_of_acquire(2), HAK_STAGE_NEW_SUPERSLAB);
}

static void a_released_slab_is_served_by_the_list_of_its_class(void) {
    use_up_the_pool();
    struct hak_slab *slab = acquire(3);
    release(slab);
    CHECK_EQ(hak_slot_state(state_of(slab)), HAK_SLOT_EMPTY);
    CHECK_EQ(hak_slab_owner(slab), HAK_TAG_NOBODY);
    CHECK_EQ(stage_of_acquire(3), HAK_STAGE_EMPTY_LIST);
    CHECK(last == slab);
    CHECK_EQ(hak_slot_state(state_of(slab)), HAK_SLOT_ACTIVE);
    CHECK_EQ(hak_slab_owner(slab), ALICE);
    CHECK_EQ(slab->carved, 0);
}

static void a_warm_slab_of_another_class_serves_before_memory_is_mapped(void) {
    use_up_the_pool();
    struct hak_slab *slab = acquire(3);
    acquire(3);
    release_warm(slab);
    CHECK_EQ(stage_of_acquire(9), HAK_STAGE_UNUSED_SLOT);
    CHECK(last == slab);
    CHECK_EQ(slab->class, 9);
    CHECK_EQ(slab->capacity, (HAK_UNIT_BYTES - (slab->index ? 0 : 2048)) / hak_classes.size[9]);
    release(slab);
    CHECK_EQ(stage_of_acquire(9), HAK_STAGE_EMPTY_LIST); /* of its new class */
}

static void a_cold_slab_of_another_class_serves_only_before_a_superslab_is_mapped(void) {
    use_up_the_pool();
    struct hak_slab *slab = acquire(3);
    use_up_the_pool();
    release(slab);
    CHECK(acquire_used(9) == NULL);
    CHECK_EQ(stage_of_acquire(9), HAK_STAGE_UNUSED_SLOT);
    CHECK(last == slab);
    CHECK_EQ(stage_of_acquire(9), HAK_STAGE_NEW_SUPERSLAB);
    release(slab);
    while (hak_superslab_of(last)->claimed < hak_superslab_of(last)->slots) {
        CHECK_EQ(stage_of_acquire(3), HAK_STAGE_UNUSED_SLOT);
        CHECK(last != slab);
    }
    CHECK_EQ(stage_of_acquire(3), HAK_STAGE_UNUSED_SLOT);
    CHECK(last == slab);
}

static void a_slab_is_warm_when_half_of_its_pages_have_been_cut(void) {
    enum { CLASS = 12, HALF = HAK_UNIT_BYTES / 2 };
    use_up_the_pool();
    acquire(CLASS); /* the header's */
    struct hak_slab *slab = acquire(CLASS);
    unsigned size = (unsigned)hak_classes.size[CLASS];
    slab->carved = (uint16_t)((HALF - 1) / size);
    release(slab);
    CHECK(acquire_used(9) == NULL);
    CHECK(acquire(CLASS) == slab);
    slab->carved = (uint16_t)((HALF + size - 1) / size);
    release(slab);
    CHECK(acquire_used(9) == slab);
    CHECK_EQ(slab->warm, HALF / HAK_PAGE_BYTES);
    slab->carved = 1; /* it stays warm */
    release(slab);
    CHECK(acquire_used(CLASS) == slab);
}

static void a_published_slab_that_came_home_is_found_by_the_scan(void) {
    void *blocks[5];
    SET_KNOB(ss_adopt, 0);
    use_up_the_pool();
    struct hak_slab *slab = leave_slab(4, blocks, 5);
    use_up_the_pool();
    push_blocks(slab, blocks, 3);
    CHECK_EQ(stage_of_acquire(4), HAK_STAGE_NEW_SUPERSLAB); /* two blocks are still out */
    push_blocks(slab, blocks + 3, 2);
    CHECK_EQ(stage_of_acquire(4), HAK_STAGE_EMPTY_SCAN);
    CHECK(last == slab);
    CHECK_EQ(slab->used, 0);
    CHECK_EQ(slab->remote, 0);
    SET_KNOB(ss_adopt, 1);
}

static void the_scan_takes_only_slabs_of_the_class(void) {
    void *blocks[5];
    SET_KNOB(ss_adopt, 0);
    use_up_the_pool();
    struct hak_slab *slab = leave_slab(4, blocks, 5);
    use_up_the_pool();
    push_blocks(slab, blocks, 5);
    CHECK_EQ(stage_of_acquire(5), HAK_STAGE_NEW_SUPERSLAB);
    use_up_the_pool();
    CHECK_EQ(stage_of_acquire(4), HAK_STAGE_EMPTY_SCAN);
    SET_KNOB(ss_adopt, 1);
}

static void the_scan_looks_at_no_more_superslabs_than_its_limit(void) {
    enum { CLASS = 11 }; /* registered for the first time here */
    void *blocks[1];
    SET_KNOB(ss_adopt, 0);
    for (int i = 0; i < 3; i++) { /* three SuperSlabs are registered before the one that counts */
        use_up_the_pool();
        acquire(CLASS);
    }
    use_up_the_pool();
    struct hak_slab *slab = leave_slab(CLASS, blocks, 1);
    use_up_the_pool();
    push_blocks(slab, blocks, 1);
    SET_KNOB(ss_empty_scan_limit, 0);
    CHECK_EQ(stage_of_acquire(CLASS), HAK_STAGE_NEW_SUPERSLAB);
    use_up_the_pool();
    SET_KNOB(ss_empty_scan_limit, 3);
    CHECK_EQ(stage_of_acquire(CLASS), HAK_STAGE_NEW_SUPERSLAB);
    use_up_the_pool();
    SET_KNOB(ss_empty_scan_limit, 4);
    CHECK_EQ(stage_of_acquire(CLASS), HAK_STAGE_EMPTY_SCAN);
    CHECK(last == slab);
    SET_KNOB(ss_empty_scan_limit, 64);
    SET_KNOB(ss_adopt, 1);
}

/* ---- all of them ------------------------------------------------------------------------- */

static void the_stages_are_tried_in_their_order(void) {
    void *blocks[2];
    SET_KNOB(ss_adopt, 0);
    use_up_the_pool();
    struct hak_slab *home = leave_slab(6, blocks, 2), *listed = acquire(6);
    while (hak_superslab_of(listed)->claimed + 1 < hak_superslab_of(listed)->slots)
        acquire(6); /* one UNUSED slot is left */
    release(listed);
    push_blocks(home, blocks, 2);
    CHECK_EQ(stage_of_acquire(6), HAK_STAGE_EMPTY_SCAN);
    CHECK_EQ(stage_of_acquire(6), HAK_STAGE_EMPTY_LIST);
    CHECK_EQ(stage_of_acquire(6), HAK_STAGE_UNUSED_SLOT);
    CHECK_EQ(stage_of_acquire(6), HAK_STAGE_NEW_SUPERSLAB);
    SET_KNOB(ss_adopt, 1);
}

static void without_empty_reuse_only_the_last_two_stages_serve(void) {
    void *blocks[2];
    SET_KNOB(ss_adopt, 0);
    use_up_the_pool();
    struct hak_slab *home = leave_slab(6, blocks, 2);
    use_up_the_pool();
    push_blocks(home, blocks, 2);
    SET_KNOB(ss_empty_reuse, 0);
    CHECK_EQ(stage_of_acquire(6), HAK_STAGE_NEW_SUPERSLAB);
    CHECK_EQ(stage_of_acquire(6), HAK_STAGE_UNUSED_SLOT);
    SET_KNOB(ss_empty_reuse, 1);
    CHECK_EQ(stage_of_acquire(6), HAK_STAGE_EMPTY_SCAN);
    SET_KNOB(ss_adopt, 1);
}

static void without_leave_for_new_memory_only_what_was_in_use_serves(void) {
    use_up_the_pool();
    struct hak_slab *slab = acquire(8);
    int64_t maps = COUNT(superslab_maps);
    CHECK(acquire_used(9) == NULL);
    CHECK_EQ(COUNT(superslab_maps), maps);
    release_warm(slab);
    CHECK(acquire_used(9) == slab);
}

static void another_class_gives_the_slot_of_which_it_has_most(void) {
    use_up_the_pool();
    struct hak_slab *many[3], *one = acquire(10);
    for (int i = 0; i < 3; i++)
        many[i] = acquire(11);
    release_warm(one);
    for (int i = 0; i < 3; i++)
        release_warm(many[i]);
    CHECK(acquire(9) == many[2]);
    CHECK(acquire(9) == many[1]);
    CHECK(acquire(10) == one);
}

static void a_superslab_is_as_large_as_the_knob_says(void) {
    for (int lg = 19; lg <= 21; lg++) {
        use_up_the_pool();
        SET_KNOB(superslab_lg, lg);
        int64_t bytes = COUNT(mapped_bytes);
        CHECK_EQ(stage_of_acquire(7), HAK_STAGE_NEW_SUPERSLAB);
        CHECK_EQ(COUNT(mapped_bytes), bytes + (1 << lg));
            for (int i = 1; i < 1 << (lg - 16); i++)
            CHECK_EQ(stage_of_acquire(7), HAK_STAGE_UNUSED_SLOT);
            CHECK_EQ(stage_of_acquire(7), HAK_STAGE_NEW_SUPERSLAB);
    }
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void at_the_soft_cap_no_superslab_is_mapped(void) {
    use_up_the_pool();
    acquire(12);
    use_up_the_pool();
    uint32_t active = hak_pool_active(12);
    int64_t maps = COUNT(superslab_maps);
    SET_KNOB_AT(tiny_cap, 12, active);
    CHECK_EQ(stage_of_acquire(12), -1);
    CHECK_EQ(outcome.reason, HAK_FAIL_SOFT_CAP);
    CHECK_EQ(outcome.active, active);
    CHECK_EQ(outcome.cap, active);
    CHECK_EQ(COUNT(superslab_maps), maps);
    SET_KNOB_AT(tiny_cap, 12, active + 1);
    CHECK_EQ(stage_of_acquire(12), HAK_STAGE_NEW_SUPERSLAB);
    SET_KNOB_AT(tiny_cap, 12, 0);
    CHECK(acquire(12) != NULL);
}

static void the_soft_cap_of_one_class_is_not_anothers(void) {
    use_up_the_pool();
    SET_KNOB_AT(tiny_cap, 13, 1);
    CHECK(acquire(13) != NULL);
    use_up_the_pool();
    CHECK(acquire(13) == NULL);
    CHECK_EQ(stage_of_acquire(14), HAK_STAGE_NEW_SUPERSLAB);
    SET_KNOB_AT(tiny_cap, 13, 0);
}

static void at_the_soft_cap_slabs_that_came_back_are_still_served(void) {
    use_up_the_pool();
    struct hak_slab *slab = acquire(15);
    use_up_the_pool();
    SET_KNOB_AT(tiny_cap, 15, 1);
    CHECK(acquire(15) == NULL);
    release(slab);
    CHECK_EQ(stage_of_acquire(15), HAK_STAGE_EMPTY_LIST);
    CHECK(acquire(15) == NULL);
    SET_KNOB_AT(tiny_cap, 15, 0);
}

static void a_refused_mapping_is_told_as_map_fail(void) {
    use_up_the_pool();
    arm_faults(FAULT_MAP, 1, 100);
    CHECK_EQ(stage_of_acquire(2), -1);
    CHECK_EQ(outcome.reason, HAK_FAIL_MAP_FAIL);
    disarm_faults();
    CHECK_EQ(stage_of_acquire(2), HAK_STAGE_NEW_SUPERSLAB);
}

/* ---- gauges -------------------------------------------------------------------------------- */

static void the_gauges_follow_a_slab_through_its_life(void) {
    enum { CLASS = 16 };
    use_up_the_pool();
    int64_t empties = (int64_t)counts.class[CLASS][HAK_CLASS_slab_empties];
    struct hak_slab *slab = acquire(CLASS);
    CHECK_EQ(CLASS_COUNT(CLASS, active_slots), 1);
    CHECK_EQ(CLASS_COUNT(CLASS, empty_slots), 0);
    CHECK_EQ(CLASS_COUNT(CLASS, mapped_class_bytes), HAK_UNIT_BYTES);
    CHECK_EQ(hak_pool_active(CLASS), 1);
    release(slab);
    CHECK_EQ(CLASS_COUNT(CLASS, active_slots), 0);
    CHECK_EQ(CLASS_COUNT(CLASS, empty_slots), 1);
    CHECK_EQ(CLASS_COUNT(CLASS, mapped_class_bytes), 0);
    CHECK_EQ(counts.class[CLASS][HAK_CLASS_slab_empties], empties + 1);
    acquire(CLASS);
    CHECK_EQ(CLASS_COUNT(CLASS, active_slots), 1);
    CHECK_EQ(CLASS_COUNT(CLASS, empty_slots), 0);
}

static void a_slot_that_changes_class_changes_the_gauges_of_both(void) {
    use_up_the_pool();
    struct hak_slab *slab = acquire(17);
    use_up_the_pool();
    release(slab);
    CHECK_EQ(CLASS_COUNT(17, empty_slots), 1);
    CHECK(acquire(18) == slab);
    CHECK_EQ(CLASS_COUNT(17, empty_slots), 0);
    CHECK_EQ(CLASS_COUNT(17, active_slots), 0);
    CHECK_EQ(CLASS_COUNT(18, active_slots), 1);
}

static void a_slab_found_by_the_scan_is_counted_once(void) {
    enum { CLASS = 19 };
    void *blocks[1];
    SET_KNOB(ss_adopt, 0);
    use_up_the_pool();
    struct hak_slab *slab = leave_slab(CLASS, blocks, 1);
    CHECK_EQ(CLASS_COUNT(CLASS, active_slots), 1); /* it is not EMPTY */
    push_blocks(slab, blocks, 1);
    CHECK(acquire(CLASS) == slab);
    CHECK_EQ(CLASS_COUNT(CLASS, active_slots), 1);
    CHECK_EQ(hak_pool_active(CLASS), 1);
    SET_KNOB(ss_adopt, 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(with_nothing_in_the_pool_a_superslab_is_mapped);
    RUN(further_slots_of_a_superslab_are_claimed_in_order);
    RUN(a_released_slab_is_served_by_the_list_of_its_class);
    RUN(a_warm_slab_of_another_class_serves_before_memory_is_mapped);
    RUN(a_cold_slab_of_another_class_serves_only_before_a_superslab_is_mapped);
    RUN(a_slab_is_warm_when_half_of_its_pages_have_been_cut);
    RUN(a_published_slab_that_came_home_is_found_by_the_scan);
    RUN(the_scan_takes_only_slabs_of_the_class);
    RUN(the_scan_looks_at_no_more_superslabs_than_its_limit);
    RUN(the_stages_are_tried_in_their_order);
    RUN(without_empty_reuse_only_the_last_two_stages_serve);
    RUN(without_leave_for_new_memory_only_what_was_in_use_serves);
    RUN(another_class_gives_the_slot_of_which_it_has_most);
    RUN(a_superslab_is_as_large_as_the_knob_says);
    RUN(at_the_soft_cap_no_superslab_is_mapped);
    RUN(the_soft_cap_of_one_class_is_not_anothers);
    RUN(at_the_soft_cap_slabs_that_came_back_are_still_served);
    RUN(a_refused_mapping_is_told_as_map_fail);
    RUN(the_gauges_follow_a_slab_through_its_life);
    RUN(a_slot_that_changes_class_changes_the_gauges_of_both);
    RUN(a_slab_found_by_the_scan_is_counted_once);
    return check_report();
}
