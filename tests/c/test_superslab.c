/* slab/superslab: headers, slots, and blocks cut from slabs. */
#include "slab/superslab.h"

#include "hak.h"
#include "slab/home.h"

#define OWNER 5000u

static unsigned class_of_size(size_t bytes) {
    return hak_class_of(bytes);
}

static struct hak_slab *open_slab(struct hak_superslab *s, unsigned index, unsigned class) {
    return hak_slab_open(s->unit + index, index, class, OWNER);
}

static void a_superslab_is_naturally_aligned_and_its_slots_are_unused(void) {
    for (unsigned lg = 19; lg <= 21; lg++) {
        struct hak_superslab *s = hak_superslab_map(lg);
        if (!CHECK(s != NULL))
            return;
        CHECK_EQ(s->slots, 1u << (lg - HAK_UNIT_LG));
        CHECK_EQ(s->unit % s->slots, 0);
        CHECK_EQ(s->magic, HAK_SUPERSLAB_MAGIC);
        for (unsigned i = 0; i < s->slots; i++) {
            uint32_t word = hak_zone.state[s->unit + i];
            CHECK_EQ(hak_slot_state(word), HAK_SLOT_UNUSED);
            CHECK_EQ(hak_slot_index(word), i);
        }
        hak_superslab_unmap(s);
    }
}

static void mapping_and_unmapping_are_counted(void) {
    int64_t now = COUNT(superslabs), maps = COUNT(superslab_maps), bytes = COUNT(mapped_bytes);
    int64_t unmaps = COUNT(superslab_unmaps);
    struct hak_superslab *s = hak_superslab_map(20);
    CHECK_EQ(COUNT(superslabs), now + 1);
    CHECK_EQ(COUNT(superslab_maps), maps + 1);
    CHECK_EQ(COUNT(mapped_bytes), bytes + (1 << 20));
    hak_superslab_unmap(s);
    CHECK_EQ(COUNT(superslabs), now);
    CHECK_EQ(COUNT(superslab_unmaps), unmaps + 1);
    CHECK_EQ(COUNT(mapped_bytes), bytes);
}

static void a_refused_superslab_is_enomem(void) {
    int64_t now = COUNT(superslabs);
    arm_faults(FAULT_MAP, 1, 1000);
    errno = 0;
    CHECK(hak_superslab_map(21) == NULL);
    CHECK_EQ(errno, ENOMEM);
    disarm_faults();
    CHECK_EQ(COUNT(superslabs), now);
}

static void slab_zero_gives_2048_bytes_to_the_header(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    unsigned largest = hak_classes.tiny_count - 1;
    struct hak_slab *first = open_slab(s, 0, largest), *second = open_slab(s, 1, largest);
    CHECK_EQ(first->capacity, 31);
    CHECK_EQ(second->capacity, 32);
    CHECK_EQ(hak_slab_blocks(first) - (char *)s, 2048);
    CHECK_EQ(hak_slab_blocks(second) - (char *)s, 65536);
    CHECK(sizeof *s <= HAK_SUPERSLAB_HEADER_BYTES);
    hak_superslab_unmap(s);
}

static void a_slab_is_found_again_from_any_of_its_addresses(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    for (unsigned i = 0; i < s->slots; i++) {
        struct hak_slab *slab = open_slab(s, i, 5);
        CHECK(hak_slab_of_unit(s->unit + i) == slab);
        CHECK(hak_superslab_of(slab) == s);
        CHECK_EQ(hak_slab_unit(slab), s->unit + i);
        CHECK_EQ(hak_zone.map[s->unit + i], hak_unit_word(OWNER, 5));
    }
    hak_superslab_unmap(s);
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* Takes all blocks of a slab, and checks that they are apart, inside, and as many as fit. */
static void take_all(unsigned class, unsigned index) {
    static uintptr_t at[8192];
    struct hak_superslab *s = hak_superslab_map(19);
    struct hak_slab *slab = open_slab(s, index, class);
    size_t size = hak_classes.size[class], count = 0;
    void *list = NULL;
    for (unsigned got; (got = hak_slab_take(slab, 7, &list)) != 0; count += got)
        CHECK(got <= 7);
    CHECK_EQ(count, slab->capacity);
    CHECK_EQ(slab->used, slab->capacity);
    CHECK(!hak_slab_has_room(slab));
    CHECK_EQ(slab->capacity, (HAK_UNIT_BYTES - (index == 0 ? 2048 : 0)) / size);
    size_t n = 0;
    for (; list != NULL; list = *(void **)list)
        at[n++] = (uintptr_t)list;
    CHECK_EQ(n, count);
    qsort(at, n, sizeof *at, by_address);
    CHECK(at[0] >= (uintptr_t)hak_slab_blocks(slab));
    CHECK(at[n - 1] + size <= (uintptr_t)hak_unit_address(s->unit + index) + HAK_UNIT_BYTES);
    for (size_t i = 1; i < n; i++)
        if (!CHECK(at[i] - at[i - 1] >= size))
            break;
    for (size_t i = 0; i < n; i++)
        if (!CHECK(hak_slab_holds(slab, (void *)at[i])))
            break;
    hak_superslab_unmap(s);
}

static void a_slab_gives_as_many_blocks_as_fit_and_no_two_overlap(void) {
    for (unsigned class = 0; class < hak_classes.tiny_count; class ++) {
        take_all(class, 0);
        take_all(class, 3);
    }
}

static void fresh_blocks_touch_no_page_before_it_is_needed(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(64));
    void *list = NULL;
    CHECK_EQ(hak_slab_take(slab, 1000, &list), 64); /* one page of them */
    CHECK_EQ(hak_slab_take(slab, 10, &list), 10);
    CHECK_EQ(hak_slab_take(slab, 1000, &list), 54); /* to the end of the second */
    CHECK_EQ(slab->carved, 128);
    hak_superslab_unmap(s);
}

static void pages_cut_before_are_cut_again_at_once(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    unsigned small = class_of_size(64), large = class_of_size(512);
    struct hak_slab *slab = open_slab(s, 2, small);
    void *list = NULL;
    for (int page = 0; page < 3; page++)
        CHECK_EQ(hak_slab_take(slab, 1000, &list), 64);
    slab = open_slab(s, 2, large); /* the slot has been EMPTY meanwhile */
    CHECK_EQ(hak_slab_take(slab, 1000, &list), 24);
    CHECK_EQ(hak_slab_take(slab, 1000, &list), 8);
    slab = open_slab(s, 2, small);
    CHECK_EQ(hak_slab_take(slab, 1000, &list), 4 * 64);
    hak_superslab_unmap(s);
}

static unsigned length_of(void *list) {
    unsigned n = 0;
    for (; list != NULL; list = *(void **)list)
        n++;
    return n;
}

/* `count` taken blocks of the list come home, as by a drain. */
static void give_back(struct hak_slab *slab, void **list, unsigned count) {
    CHECK_EQ(hak_home_put_run(slab, count, list), count);
}

/* As if others had freed them and the owner had taken that in. */
static void link_back(struct hak_slab *slab, void **list, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        void *block = *list;
        *list = *(void **)block;
        *(void **)block = slab->linked;
        slab->linked = block;
    }
    slab->linked_count = (uint16_t)(slab->linked_count + count);
    slab->used = (uint16_t)(slab->used - count);
}

static void blocks_that_came_home_are_taken_before_fresh_ones(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(256));
    void *list = NULL;
    CHECK_EQ(hak_slab_take(slab, 16, &list), 16);
    give_back(slab, &list, 7);
    void *others = NULL;
    CHECK_EQ(hak_slab_take(slab, 3, &others), 3);
    CHECK_EQ(slab->carved, 16);
    CHECK_EQ(slab->home, 4);
    CHECK_EQ(hak_slab_take(slab, 16, &others), 4); /* not mixed with fresh ones */
    CHECK_EQ(slab->home, 0);
    CHECK_EQ(length_of(others), 7);
    CHECK_EQ(slab->used, 16);
    hak_superslab_unmap(s);
}

static void what_others_linked_is_taken_after_what_came_home(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(256));
    void *list = NULL, *others = NULL;
    hak_slab_take(slab, 16, &list);
    link_back(slab, &list, 5);
    give_back(slab, &list, 3);
    CHECK_EQ(hak_slab_take(slab, 5, &others), 3);
    CHECK_EQ(slab->linked_count, 5);
    CHECK_EQ(hak_slab_take(slab, 5, &others), 5);
    CHECK_EQ(length_of(others), 8);
    CHECK(slab->linked == NULL);
    hak_superslab_unmap(s);
}

static void a_linked_list_up_to_twice_as_long_as_wanted_is_moved_whole(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(256));
    void *list = NULL, *others = NULL;
    hak_slab_take(slab, 16, &list);
    link_back(slab, &list, 6);
    CHECK_EQ(hak_slab_take(slab, 3, &others), 6);
    CHECK_EQ(length_of(others), 6);
    CHECK_EQ(slab->linked_count, 0);
    CHECK(slab->linked == NULL);
    CHECK_EQ(slab->used, 16);
    hak_superslab_unmap(s);
}

static void taking_prepends_to_what_the_list_holds(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(256));
    void *mine[1] = {NULL}, *list = mine;
    hak_slab_take(slab, 4, &list);
    CHECK_EQ(length_of(list), 5);
    give_back(slab, &list, 4);
    CHECK(list == mine);
    hak_slab_take(slab, 4, &list);
    CHECK_EQ(length_of(list), 5);
    hak_superslab_unmap(s);
}

/* A program wrote over a free block: what the link leads to is given up, not followed. */
static void check_bad_link(void *bad, unsigned position) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(256));
    void *list = NULL, *block, *again = NULL;
    int64_t errors = COUNT(integrity_errors);
    while (slab->carved < 32)
        hak_slab_take(slab, 32 - slab->carved, &list);
    link_back(slab, &list, 17);
    block = slab->linked;
    for (unsigned i = 1; i < position; i++)
        block = *(void **)block;
    *(void **)block = bad;
    unsigned got = hak_slab_take(slab, 8, &again);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
    CHECK_EQ(got, position);
    CHECK_EQ(length_of(again), got);
    CHECK(slab->linked == NULL);
    CHECK_EQ(slab->linked_count, 0);
    CHECK(hak_slab_take(slab, 8, &again) > 0); /* fresh ones */
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
    hak_superslab_unmap(s);
}

static void a_link_out_of_the_slab_is_reported_and_not_followed(void) {
    int on_stack;
    check_bad_link((void *)0x4141414141414141, 3);
    check_bad_link((void *)8, 1);
    check_bad_link(&on_stack, 7);
}

static void a_link_between_two_blocks_is_reported_and_not_followed(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(256));
    check_bad_link(hak_slab_blocks(slab) + 100, 2);
    hak_superslab_unmap(s);
}

static void the_list_head_itself_is_checked(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    struct hak_slab *slab = open_slab(s, 2, class_of_size(256));
    int64_t errors = COUNT(integrity_errors);
    void *list = NULL;
    slab->linked = (void *)0x10;
    slab->linked_count = 3;
    CHECK(hak_slab_take(slab, 2, &list) > 0);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
    CHECK(slab->linked == NULL);
    hak_superslab_unmap(s);
}

static void nothing_past_the_last_block_belongs_to_the_slab(void) {
    struct hak_superslab *s = hak_superslab_map(21);
    for (unsigned index = 0; index < 2; index++) {
        struct hak_slab *slab = open_slab(s, index, class_of_size(256));
        void *list = NULL;
        while (hak_slab_take(slab, 64, &list) != 0)
            ;
        char *blocks = hak_slab_blocks(slab);
        CHECK(hak_slab_holds(slab, blocks));
        CHECK(hak_slab_holds(slab, blocks + 256 * (slab->capacity - 1)));
        CHECK(!hak_slab_holds(slab, blocks + 256 * slab->capacity));
        CHECK(!hak_slab_holds(slab, blocks - 256));
        CHECK(!hak_slab_holds(slab, blocks + 128));
    }
    hak_superslab_unmap(s);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_superslab_is_naturally_aligned_and_its_slots_are_unused);
    RUN(mapping_and_unmapping_are_counted);
    RUN(a_refused_superslab_is_enomem);
    RUN(slab_zero_gives_2048_bytes_to_the_header);
    RUN(a_slab_is_found_again_from_any_of_its_addresses);
    RUN(a_slab_gives_as_many_blocks_as_fit_and_no_two_overlap);
    RUN(fresh_blocks_touch_no_page_before_it_is_needed);
    RUN(pages_cut_before_are_cut_again_at_once);
    RUN(blocks_that_came_home_are_taken_before_fresh_ones);
    RUN(what_others_linked_is_taken_after_what_came_home);
    RUN(a_linked_list_up_to_twice_as_long_as_wanted_is_moved_whole);
    RUN(taking_prepends_to_what_the_list_holds);
    RUN(a_link_out_of_the_slab_is_reported_and_not_followed);
    RUN(a_link_between_two_blocks_is_reported_and_not_followed);
    RUN(the_list_head_itself_is_checked);
    RUN(nothing_past_the_last_block_belongs_to_the_slab);
    return check_report();
}
