/* slab/slotlist: a stack of hints that threads push to and pop from at once. */
#include "slab/slotlist.h"

#include "hak.h"

#define SLOTS 32u

static struct hak_slotlist list;
static size_t first; /* unit of a range whose table words the tests use */

static void take_range(void) {
    size_t lowest = hak_zone_take(1, 1); /* unit 0 is a test's own */
    first = hak_zone_take(SLOTS, SLOTS);
    hak_zone_give(lowest, 1);
}

static void an_empty_list_gives_nothing(void) {
    CHECK_EQ(hak_slotlist_pop(&list), HAK_NO_UNIT);
}

static void what_was_pushed_last_comes_first(void) {
    for (size_t i = 0; i < SLOTS; i++)
        hak_slotlist_push(&list, first + i);
    for (size_t i = SLOTS; i > 0; i--)
        CHECK_EQ(hak_slotlist_pop(&list), first + i - 1);
    CHECK_EQ(hak_slotlist_pop(&list), HAK_NO_UNIT);
}

static void unit_zero_is_a_unit_like_any_other(void) {
    uint32_t saved = hak_zone.next[0];
    hak_slotlist_push(&list, 0);
    hak_slotlist_push(&list, first);
    CHECK_EQ(hak_slotlist_pop(&list), first);
    CHECK_EQ(hak_slotlist_pop(&list), 0);
    CHECK_EQ(hak_slotlist_pop(&list), HAK_NO_UNIT);
    hak_zone.next[0] = saved;
}

static void the_head_never_repeats_while_its_tag_has_room(void) {
    uint64_t before = list.head;
    hak_slotlist_push(&list, first);
    uint64_t once = list.head;
    hak_slotlist_pop(&list);
    hak_slotlist_push(&list, first);
    CHECK_EQ((uint32_t)list.head, (uint32_t)once);
    CHECK(list.head != once); /* a popper that slept in between must not succeed */
    CHECK(before != once);
    hak_slotlist_pop(&list);
}

/* Each thread pops slots, owns them for a moment, and pushes them back. */
static uint32_t owners[SLOTS];
static uint32_t conflicts;

static void *pop_and_push(void *seed) {
    struct check_rng rng = check_rng_seed(*(uint64_t *)seed);
    unsigned rounds = rounds_of(20000);
    size_t held[SLOTS];
    unsigned count = 0;
    for (unsigned round = 0; round < rounds || count > 0; round++) {
        int pops = round < rounds && check_rng_between(&rng, 0, 1);
        size_t unit = pops ? hak_slotlist_pop(&list) : HAK_NO_UNIT;
        if (unit != HAK_NO_UNIT) {
            if (__atomic_fetch_add(&owners[unit - first], 1, __ATOMIC_RELAXED) != 0)
                __atomic_fetch_add(&conflicts, 1, __ATOMIC_RELAXED);
            held[count++] = unit;
        } else if (count > 0) {
            unit = held[--count];
            __atomic_fetch_sub(&owners[unit - first], 1, __ATOMIC_RELAXED);
            hak_slotlist_push(&list, unit);
        }
    }
    return NULL;
}

static void threads_never_pop_the_same_slot_and_none_is_lost(void) {
    uint64_t seeds[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < SLOTS; i++)
        hak_slotlist_push(&list, first + i);
    run_threads(4, pop_and_push, seeds, sizeof *seeds);
    CHECK_EQ(conflicts, 0);
    unsigned found = 0;
    uint64_t seen = 0;
    for (size_t unit; (unit = hak_slotlist_pop(&list)) != HAK_NO_UNIT; found++)
        seen |= (uint64_t)1 << (unit - first);
    CHECK_EQ(found, SLOTS);
    CHECK_EQ(seen, 0xffffffffu);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    take_range();
    RUN(an_empty_list_gives_nothing);
    RUN(what_was_pushed_last_comes_first);
    RUN(unit_zero_is_a_unit_like_any_other);
    RUN(the_head_never_repeats_while_its_tag_has_room);
    RUN(threads_never_pop_the_same_slot_and_none_is_lost);
    return check_report();
}
