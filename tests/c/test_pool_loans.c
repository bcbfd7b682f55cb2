/* slab/shared_pool: units on loan to others than slabs. */
#include "slab/shared_pool.h"

#include "pools.h"

static void an_empty_slot_is_lent_and_serves_again_when_it_is_taken_back(void) {
    size_t reserved = 1;
    use_up_the_pool();
    CHECK_EQ(hak_pool_lend(4096, &reserved), HAK_NO_UNIT);
    acquire(10); /* the SuperSlab's first */
    struct hak_slab *slab = acquire(10);
    release_warm(slab);
    int64_t active = CLASS_COUNT(10, active_slots), empty = CLASS_COUNT(10, empty_slots);
    int64_t lent = COUNT(lent_slots);
    size_t unit = hak_pool_lend(0, &reserved);
    CHECK_EQ(unit, hak_slab_unit(slab));
    CHECK_EQ(reserved, 0);
    CHECK_EQ(CLASS_COUNT(10, active_slots), active); /* it is Mid's now */
    CHECK_EQ(COUNT(lent_slots), lent + 1);
    CHECK_EQ(CLASS_COUNT(10, empty_slots), empty - 1);
    CHECK(acquire_used(11) == NULL);
    memset(hak_unit_address(unit), 0xee, HAK_UNIT_BYTES);
    hak_pool_take_back(unit, HAK_UNIT_BYTES);
    CHECK_EQ(COUNT(lent_slots), lent);
    CHECK_EQ(CLASS_COUNT(10, empty_slots), empty);
    CHECK(acquire_used(11) == slab);
    CHECK_EQ(slab->warm, HAK_UNIT_BYTES / HAK_PAGE_BYTES);
    release_warm(slab);
}

/* The first slot of a SuperSlab is behind its header. */
static void a_slot_with_the_header_is_lent_to_who_can_spare_the_room(void) {
    size_t reserved;
    use_up_the_pool();
    struct hak_slab *first = acquire(10), *other = acquire(10);
    do
        first = acquire(10);
    while (first->index != 0);
    release_warm(other);
    release_warm(first);
    CHECK_EQ(hak_pool_lend(0, &reserved), hak_slab_unit(other));
    CHECK_EQ(hak_pool_lend(0, &reserved), HAK_NO_UNIT);
    CHECK_EQ(hak_pool_lend(4096, &reserved), hak_slab_unit(first));
    CHECK_EQ(reserved, HAK_SUPERSLAB_HEADER_BYTES);
    hak_pool_take_back(hak_slab_unit(first), 8192);
    hak_pool_take_back(hak_slab_unit(other), 8192);
    CHECK(acquire_used(10) != NULL && acquire_used(10) != NULL);
}

static void without_empty_reuse_nothing_is_lent(void) {
    size_t reserved;
    use_up_the_pool();
    struct hak_slab *slab = acquire(10);
    release_warm(slab);
    SET_KNOB(ss_empty_reuse, 0);
    CHECK_EQ(hak_pool_lend(4096, &reserved), HAK_NO_UNIT);
    SET_KNOB(ss_empty_reuse, 1);
    CHECK(acquire_used(10) == slab);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(an_empty_slot_is_lent_and_serves_again_when_it_is_taken_back);
    RUN(a_slot_with_the_header_is_lent_to_who_can_spare_the_room);
    RUN(without_empty_reuse_nothing_is_lent);
    return check_report();
}
