/* slab/mixed: slabs with few blocks left become units whose holes any size lies in. */
#include "slab/mixed.h"

#include "core/codes.h"
#include "slabs.h"

BOOT(unsampled, "HAKMEM_SAMPLE_BYTES=0") /* a sample lies elsewhere */

/* ---- units ------------------------------------------------------------------------------ */

enum { MOST = HAK_GRANULES, SURVIVORS = 8 };

static struct hak_block counts;

/* A slab of the class with all blocks handed out, to blocks[]; never the first of a SuperSlab. */
static struct hak_slab *full_slab(unsigned class, void **blocks) {
    struct hak_pool_outcome outcome;
    struct hak_slab *slab = NULL;
    while (slab == NULL || slab->index == 0)
        slab = hak_pool_acquire(class, ALICE, 1, &counts, &outcome);
    CHECK_EQ(take_blocks(slab, slab->capacity, blocks), slab->capacity);
    return slab;
}

/* One block in eight survives, from the third on; *kept is their number. They move to the front. */
static struct hak_slab *sparse_slab(unsigned class, void **blocks, unsigned *kept) {
    struct hak_slab *slab = full_slab(class, blocks);
    *kept = 0;
    for (unsigned i = 0; i < slab->capacity; i++)
        if (i % SURVIVORS == 3)
            blocks[(*kept)++] = blocks[i];
        else
            put_block(slab, blocks[i]);
    return slab;
}

static uint32_t tag_of(const void *block) {
    return hak_load_acquire(&hak_zone.map[hak_unit_of(block)]) >> HAK_TAG_SHIFT;
}

static void put(unsigned class, void **blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        void *list = blocks[i];
        *(void **)list = NULL;
        CHECK_EQ(hak_mixed_put(class, 1, &list), 1);
        CHECK(list == NULL);
    }
}

/* As many of the class as there are, by refills of 7. */
static unsigned take_all(unsigned class, void **blocks) {
    unsigned got = 0;
    for (void *list = NULL; got < MOST && hak_mixed_take(class, ALICE, 7, &list) != 0;)
        for (; list != NULL; list = *(void **)list)
            blocks[got++] = list;
    return got;
}

/* Bytes of a unit that two blocks have, or a block and what no block may have. */
static char owned[HAK_UNIT_BYTES];

static unsigned overlaps(unsigned class, void **blocks, unsigned count) {
    unsigned wrong = 0;
    size_t size = hak_classes.size[class];
    for (unsigned i = 0; i < count; i++) {
        size_t at = (uintptr_t)blocks[i] % HAK_UNIT_BYTES;
        wrong += at + size > HAK_UNIT_BYTES;
        for (size_t b = at; b < hak_min(at + size, HAK_UNIT_BYTES); b++)
            wrong += owned[b]++ != 0;
    }
    return wrong;
}

static void the_holes_serve_other_classes_and_no_survivor_is_touched(void) {
    static void *survivors[MOST], *others[MOST];
    static const size_t sizes[] = {16, 48, 64, 80, 256, 512};
    for (unsigned i = 0; i < HAK_COUNT_OF(sizes); i++) {
        unsigned class = hak_class_of(64), other = hak_class_of(sizes[i]), kept;
        struct hak_slab *slab = sparse_slab(class, survivors, &kept);
        int64_t empty = CLASS_COUNT(class, empty_slots);
        CHECK(hak_mixed_convert(slab, ALICE));
        CHECK_EQ(tag_of(survivors[0]), HAK_TAG_MIXED);
        CHECK_EQ(COUNT(mixed_slots), 1);
        unsigned got = take_all(other, others);
        /* Between survivors lie 7 * 64 bytes. */
        CHECK_BETWEEN(got, sizes[i] > 448 ? 0 : kept * (448 / sizes[i]), HAK_UNIT_BYTES / sizes[i]);
        memset(owned, 0, sizeof owned);
        CHECK_EQ(overlaps(class, survivors, kept) + overlaps(other, others, got), 0);
        for (unsigned k = 0; k < got; k++)
            CHECK_EQ(hak_mixed_class(others[k]), other);
        for (unsigned k = 0; k < kept; k++)
            CHECK_EQ(hak_mixed_class(survivors[k]), class);
        put(other, others, got);
        put(class, survivors, kept);
        CHECK_EQ(COUNT(mixed_slots), 0);
        CHECK_EQ(COUNT(lent_slots), 0);
        CHECK_EQ(CLASS_COUNT(class, empty_slots), empty + 1); /* nothing is left in it */
    }
}

static void blocks_are_aligned_as_in_slabs_and_runs(void) {
    static void *survivors[MOST], *others[MOST];
    for (unsigned other = 0; other < hak_classes.mid_count; other++) {
        unsigned class = hak_class_of(112), kept;
        size_t size = hak_classes.size[other];
        if (!hak_mixed_serves(other))
            continue;
        struct hak_slab *slab = sparse_slab(class, survivors, &kept);
        put_block(slab, survivors[--kept]); /* at least one gap is large enough for any class */
        put_block(slab, survivors[--kept]);
        for (unsigned i = 0; i < 4; i++)
            put_block(slab, survivors[--kept]);
        CHECK(hak_mixed_convert(slab, ALICE));
        unsigned got = take_all(other, others);
        CHECK(got != 0);
        size_t align = other < hak_classes.tiny_count ? size & -size : 64;
        for (unsigned i = 0; i < got; i++)
            CHECK_EQ((uintptr_t)others[i] % align, 0);
        put(other, others, got);
        put(class, survivors, kept);
    }
}

static void only_classes_of_whole_granules_up_to_a_page_are_served(void) {
    CHECK(!hak_mixed_serves(hak_class_of(8)));
    CHECK(hak_mixed_serves(hak_class_of(16)));
    CHECK(hak_mixed_serves(hak_class_of(4096)));
    CHECK(!hak_mixed_serves(hak_class_of(4097)));
    CHECK(!hak_mixed_serves(hak_classes.regular_count)); /* blocks at multiples of their size */
}

static void a_superslabs_header_is_no_hole(void) {
    static void *blocks[MOST], *others[MOST];
    struct hak_superslab *superslab = hak_superslab_map(19);
    unsigned class = hak_class_of(1024);
    CHECK(hak_superslab_enter(superslab));
    hak_zone.state[superslab->unit] = hak_slot_word(HAK_SLOT_ACTIVE, class, 0);
    struct hak_slab *slab = hak_slab_open(superslab->unit, 0, class, ALICE);
    take_blocks(slab, slab->capacity, blocks);
    for (unsigned i = 1; i < slab->capacity; i++)
        put_block(slab, blocks[i]);
    CHECK(hak_mixed_convert(slab, ALICE));
    unsigned got = take_all(hak_class_of(32), others);
    CHECK_EQ(got, (HAK_UNIT_BYTES - HAK_SUPERSLAB_HEADER_BYTES - 1024) / 32);
    for (unsigned i = 0; i < got; i++)
        CHECK((uintptr_t)others[i] % HAK_UNIT_BYTES >= HAK_SUPERSLAB_HEADER_BYTES + 1024);
    CHECK_EQ(superslab->magic, HAK_SUPERSLAB_MAGIC);
    put(hak_class_of(32), others, got);
    put(class, blocks, 1);
    CHECK_EQ(COUNT(mixed_slots), 0);
}

static void a_run_of_blocks_comes_back_in_one_go_up_to_another_unit(void) {
    static void *survivors[MOST], *more[MOST];
    unsigned class = hak_class_of(96), kept, kept_more;
    struct hak_slab *a = sparse_slab(class, survivors, &kept);
    struct hak_slab *b = sparse_slab(class, more, &kept_more);
    CHECK(hak_mixed_convert(a, ALICE) && hak_mixed_convert(b, BOB));
    void *list = NULL;
    *(void **)more[0] = NULL;
    list = more[0];
    for (unsigned i = 0; i < 5; i++) {
        *(void **)survivors[i] = list;
        list = survivors[i];
    }
    CHECK_EQ(hak_mixed_put(class, 3, &list), 3);
    CHECK(list == survivors[1]);
    CHECK_EQ(hak_mixed_put(class, 100, &list), 2);
    CHECK(list == more[0]);
    CHECK_EQ(hak_mixed_put(class, 100, &list), 1);
    CHECK(list == NULL);
    put(class, survivors + 5, kept - 5);
    put(class, more + 1, kept_more - 1);
    CHECK_EQ(COUNT(mixed_slots), 0);
}

static void what_is_no_block_is_refused(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    CHECK(hak_mixed_convert(sparse_slab(class, survivors, &kept), ALICE));
    char *block = survivors[0];
    void *list = block + 16;
    memset(block, 0, 64);
    CHECK_EQ(hak_mixed_put(class, 1, &list), 0); /* inside a block */
    list = block + 8;
    CHECK_EQ(hak_mixed_put(class, 1, &list), 0);
    list = block;
    CHECK_EQ(hak_mixed_put(hak_class_of(80), 1, &list), 0); /* of another class */
    CHECK_EQ(hak_mixed_class(block + 16), HAK_CLASS_NONE);
    CHECK_EQ(hak_mixed_class(block + 8), HAK_CLASS_NONE);
    put(class, survivors, 1);
    *(void **)block = NULL;
    list = block;
    CHECK_EQ(hak_mixed_put(class, 1, &list), 0); /* a second time */
    put(class, survivors + 1, kept - 1);
}

static void a_slab_stays_one_where_there_is_no_memory_for_bits(void) {
    static void *blocks[MOST], *more[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, blocks, &kept);
    enum { NEW_SEAT = ALICE - 1 }; /* whose shard has mapped none yet */
    arm_faults(FAULT_MAP, 1, 1);
    CHECK(!hak_mixed_convert(slab, NEW_SEAT));
    CHECK_EQ(disarm_faults(), 1);
    CHECK_EQ(tag_of(blocks[0]), ALICE);
    CHECK_EQ(COUNT(mixed_slots), 0);
    CHECK_EQ(take_blocks(slab, slab->capacity, more), slab->capacity - kept);
    for (unsigned i = 0; i < slab->capacity - kept; i++)
        put_block(slab, more[i]);
    CHECK(hak_mixed_convert(slab, NEW_SEAT));
    put(class, blocks, kept);
}

/* ---- what others have sent --------------------------------------------------------------- */

static void blocks_that_wait_at_the_slab_are_taken_in(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, survivors, &kept);
    push_blocks(slab, survivors, 20); /* linked by the time it changes */
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK_EQ(hak_remote_take(slab), 20);
    push_blocks(slab, survivors + 20, 10); /* and on the remote list */
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK(hak_mixed_convert(slab, ALICE));
    for (unsigned i = 0; i < 30; i++)
        CHECK_EQ(hak_mixed_class(survivors[i]), HAK_CLASS_NONE);
    put(class, survivors + 30, kept - 30);
    CHECK_EQ(COUNT(mixed_slots), 0);
}

static void late_arrivals_come_home_on_the_tick(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, survivors, &kept);
    CHECK(hak_mixed_convert(slab, ALICE));
    push_blocks(slab, survivors, 9); /* by who had read the unit's word before */
    CHECK(!hak_remote_waiting(ALICE));
    put(class, survivors + 9, kept - 9);
    CHECK_EQ(COUNT(mixed_slots), 1);
    hak_mixed_tick();
    CHECK_EQ(COUNT(mixed_slots), 0);
    CHECK_EQ(hak_remote_count(slab), 0);
}

/* The pusher had put it into its owner's queue when it changed: the queue's link is its own. */
static void a_unit_in_a_queue_goes_when_it_has_left_it(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, survivors, &kept);
    push_blocks(slab, survivors, 9);
    CHECK(hak_remote_is_queued(slab));
    CHECK(hak_mixed_convert(slab, ALICE));
    put(class, survivors + 9, kept - 9);
    hak_mixed_tick();
    CHECK_EQ(COUNT(mixed_slots), 1);
    CHECK(hak_remote_next(ALICE) == NULL); /* it is not hers any more */
    hak_mixed_tick();
    CHECK_EQ(COUNT(mixed_slots), 0);
}

/* ---- pages --------------------------------------------------------------------------------- */

static size_t pages_in_memory(const void *block) {
    unsigned char vec[HAK_UNIT_BYTES / HAK_PAGE_BYTES];
    size_t pages = 0;
    int mincore(void *address, size_t bytes, unsigned char *vec);
    CHECK_EQ(mincore(hak_unit_address(hak_unit_of(block)), HAK_UNIT_BYTES, vec), 0);
    for (size_t i = 0; i < sizeof vec; i++)
        pages += vec[i] & 1;
    return pages;
}

static void pages_without_blocks_go_back_on_the_second_tick(void) {
    static void *blocks[MOST], *others[MOST];
    unsigned class = hak_class_of(1024);
    struct hak_slab *slab = full_slab(class, blocks);
    for (unsigned i = 1; i < slab->capacity; i++)
        put_block(slab, blocks[i]);
    CHECK(hak_mixed_convert(slab, ALICE));
    CHECK_EQ(pages_in_memory(blocks[0]), 16);
    CHECK_EQ(hak_mixed_tick(), 0);
    void *list = NULL; /* what has been in use meanwhile stays */
    CHECK_EQ(hak_mixed_take(hak_class_of(2048), ALICE, 4, &list), 4);
    void *taken[4];
    for (unsigned i = 0; i < 4; i++, list = *(void **)list)
        taken[i] = list;
    put(hak_class_of(2048), taken, 4);
    size_t gone = hak_mixed_tick();
    CHECK_BETWEEN(gone / HAK_PAGE_BYTES, 10, 13);
    CHECK_EQ(pages_in_memory(blocks[0]), 16 - gone / HAK_PAGE_BYTES);
    gone += hak_mixed_tick();
    CHECK_EQ(gone, 15 * HAK_PAGE_BYTES);
    CHECK_EQ(hak_mixed_tick(), 0); /* they are gone already */
    unsigned got = take_all(hak_class_of(2048), others);
    CHECK_EQ(got, 31);
    CHECK_EQ(pages_in_memory(blocks[0]), 16);
    put(hak_class_of(2048), others, got);
    put(class, blocks, 1);
}

static void refused_advice_changes_nothing(void) {
    static void *blocks[MOST];
    unsigned class = hak_class_of(1024);
    struct hak_slab *slab = full_slab(class, blocks);
    for (unsigned i = 1; i < slab->capacity; i++)
        put_block(slab, blocks[i]);
    CHECK(hak_mixed_convert(slab, ALICE));
    CHECK_EQ(hak_mixed_tick(), 0);
    arm_faults(FAULT_ADVISE, 1, 1000);
    CHECK_EQ(hak_mixed_tick(), 0);
    CHECK(disarm_faults() != 0);
    CHECK_EQ(hak_mixed_tick(), 15 * HAK_PAGE_BYTES);
    put(class, blocks, 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(the_holes_serve_other_classes_and_no_survivor_is_touched);
    RUN(blocks_are_aligned_as_in_slabs_and_runs);
    RUN(only_classes_of_whole_granules_up_to_a_page_are_served);
    RUN(a_superslabs_header_is_no_hole);
    RUN(a_run_of_blocks_comes_back_in_one_go_up_to_another_unit);
    RUN(what_is_no_block_is_refused);
    RUN(a_slab_stays_one_where_there_is_no_memory_for_bits);
    RUN(blocks_that_wait_at_the_slab_are_taken_in);
    RUN(late_arrivals_come_home_on_the_tick);
    RUN(a_unit_in_a_queue_goes_when_it_has_left_it);
    RUN(pages_without_blocks_go_back_on_the_second_tick);
    RUN(refused_advice_changes_nothing);
    return check_report();
}
