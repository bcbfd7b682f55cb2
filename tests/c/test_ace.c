/* mid/ace: Mid and Large blocks out of runs and spans. */
#include "mid/ace.h"

#include "hak.h"
#include "os/zone.h"

static struct hak_block counts;

static unsigned refill(unsigned class, unsigned seat, unsigned want, void **list) {
    struct hak_ace_request request = {class, hak_classes.size[class], seat, want, &counts};
    void *larger;
    return hak_ace_refill(&request, list, &larger);
}

/* `count` blocks of the class, by as many refills as it takes. */
static unsigned take(unsigned class, unsigned seat, unsigned count, void **blocks) {
    unsigned got = 0;
    while (got < count) {
        void *list = NULL;
        if (refill(class, seat, count - got, &list) == 0)
            break;
        for (; list != NULL; list = *(void **)list)
            blocks[got++] = list;
    }
    return got;
}

static void drain(unsigned class, void **blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        *(void **)blocks[i] = i + 1 < count ? blocks[i + 1] : NULL;
    if (count != 0)
        hak_ace_drain(class, &counts, blocks[0], ~0u);
}

/* Mid blocks are spread over cache lines, but for the classes that exist for their alignment. */
static size_t alignment_of(unsigned class) {
    size_t size = hak_classes.size[class];
    return class < hak_classes.mid_count ? 64 : hak_min(size & -size, HAK_UNIT_BYTES);
}

static void blocks_of_every_class_are_apart_and_marked_as_shared(void) {
    enum { MANY = 40 };
    unsigned char *blocks[MANY];
    for (unsigned class = hak_classes.tiny_count; class < hak_classes.count; class ++) {
        if (hak_ace_is_direct(class))
            continue;
        size_t size = hak_classes.size[class];
        CHECK_EQ(take(class, 0, MANY, (void **)blocks), MANY);
        for (int i = 0; i < MANY; i++)
            memset(blocks[i], i + 1, size);
        for (int i = 0; i < MANY; i++) {
            CHECK_EQ(blocks[i][0], i + 1);
            CHECK_EQ(blocks[i][size - 1], i + 1);
            CHECK_EQ((uintptr_t)blocks[i] % alignment_of(class), 0);
            CHECK_EQ(hak_zone.map[hak_unit_of(blocks[i])], hak_unit_word(HAK_TAG_SHARED, class));
        }
        drain(class, (void **)blocks, MANY);
    }
}

static void runs_come_back_when_their_blocks_do(void) {
    enum { MANY = 600 };
    static void *blocks[MANY];
    unsigned class = hak_class_of(12 * 1024);
    take(class, 1, 1, blocks);
    drain(class, blocks, 1);
    int64_t bytes = CLASS_COUNT(class, mapped_class_bytes);
    take(class, 1, MANY, blocks);
    CHECK(CLASS_COUNT(class, mapped_class_bytes) >= MANY * 12 * 1024);
    drain(class, blocks, MANY);
    CHECK(CLASS_COUNT(class, mapped_class_bytes) <= bytes + 8 * (int64_t)HAK_UNIT_BYTES);
}

static void blocks_that_came_back_are_handed_out_again(void) {
    enum { MANY = 200 };
    static void *blocks[MANY];
    struct check_rng rng = check_rng_seed(6);
    unsigned class = hak_class_of(5000);
    int64_t bytes = 0;
    for (int round = 0; round < 100; round++) {
        CHECK_EQ(take(class, 2, MANY, blocks), MANY);
        for (unsigned i = MANY - 1; i > 0; i--) {
            unsigned j = (unsigned)check_rng_between(&rng, 0, i);
            void *swap = blocks[i];
            blocks[i] = blocks[j];
            blocks[j] = swap;
        }
        if (round == 10)
            bytes = CLASS_COUNT(class, mapped_class_bytes);
        if (round > 10)
            CHECK(CLASS_COUNT(class, mapped_class_bytes) <= bytes);
        drain(class, blocks, MANY);
    }
}

static void a_block_may_be_freed_from_any_seat(void) {
    void *blocks[64];
    unsigned class = hak_class_of(20000);
    for (unsigned seat = 0; seat < 8; seat++)
        CHECK_EQ(take(class, seat, 8, blocks + 8 * seat), 8);
    drain(class, blocks, 64); /* one chain across all shards */
    CHECK_EQ(COUNT(integrity_errors), 0);
}

static void refills_are_counted_and_failed_ones_are_not(void) {
    void *list = NULL;
    unsigned class = hak_class_of(30000);
    uint64_t *word = counts.class[class], before = word[HAK_CLASS_refills];
    uint64_t brought = word[HAK_CLASS_refilled];
    CHECK(refill(class, 3, 1, &list) == 1);
    CHECK_EQ(word[HAK_CLASS_refills], before + 1);
    CHECK_EQ(word[HAK_CLASS_refilled], brought + 1);
    void *blocks[1] = {list};
    arm_faults(FAULT_MAP, 1, 100000);
    int failed = 0;
    for (int i = 0; i < 2000 && !failed; i++) { /* what is mapped already still serves */
        list = NULL;
        errno = 0;
        failed = refill(class, 3, 1, &list) == 0;
    }
    CHECK(failed);
    CHECK_EQ(errno, ENOMEM);
    uint64_t refills = word[HAK_CLASS_refills];
    CHECK_EQ(refill(class, 3, 1, &list), 0);
    CHECK_EQ(word[HAK_CLASS_refills], refills);
    disarm_faults();
    CHECK_EQ(refill(class, 3, 1, &list), 1);
    drain(class, blocks, 1);
}

static void direct_blocks_are_spans_of_their_own(void) {
    for (unsigned class = 0; class < hak_classes.count; class ++) {
        if (class < hak_classes.tiny_count || !hak_ace_is_direct(class) ||
            hak_class_of(hak_classes.size[class]) != class)
            continue;
        int zeroed;
        size_t size = hak_classes.size[class];
        char *a = hak_ace_direct_alloc(class, &zeroed), *b = hak_ace_direct_alloc(class, &zeroed);
        CHECK(a != NULL && b != NULL && (a + size <= b || b + size <= a));
        memset(a, 1, size);
        memset(b, 2, size);
        CHECK_EQ(a[size - 1], 1);
        CHECK_EQ(hak_zone.map[hak_unit_of(a)], hak_unit_word(HAK_TAG_DIRECT, class));
        int64_t bytes = CLASS_COUNT(class, mapped_class_bytes);
        hak_ace_direct_free(hak_unit_of(a), class);
        hak_ace_direct_free(hak_unit_of(b), class);
        CHECK_EQ(CLASS_COUNT(class, mapped_class_bytes), bytes - 2 * (int64_t)size);
        CHECK_EQ(hak_zone.map[hak_unit_of(a)], 0);
    }
}

static void a_refused_direct_block_is_enomem(void) {
    int zeroed;
    unsigned class = hak_class_of(700 * 1024);
    void *held[200];
    int count = 0;
    arm_faults(FAULT_MAP, 1, 100000);
    errno = 0;
    while (count < 200 && (held[count] = hak_ace_direct_alloc(class, &zeroed)) != NULL)
        count++;
    CHECK(count < 200);
    CHECK_EQ(errno, ENOMEM);
    disarm_faults();
    CHECK((held[count] = hak_ace_direct_alloc(class, &zeroed)) != NULL);
    for (int i = 0; i <= count; i++)
        hak_ace_direct_free(hak_unit_of(held[i]), class);
}

static void a_link_that_leaves_the_class_ends_a_drain_and_is_reported(void) {
    void *blocks[4];
    unsigned class = hak_class_of(9000);
    int64_t errors = COUNT(integrity_errors);
    take(class, 0, 4, blocks);
    *(void **)blocks[0] = blocks[1];
    *(uintptr_t *)blocks[1] = 0x4141414141414140;
    hak_ace_drain(class, &counts, blocks[0], ~0u);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
}

static void an_interior_pointer_in_a_drain_is_reported(void) {
    void *blocks[2];
    unsigned class = hak_class_of(9000);
    int64_t errors = COUNT(integrity_errors);
    take(class, 0, 2, blocks);
    void *inside = (char *)blocks[1] + 64;
    *(void **)inside = NULL;
    *(void **)blocks[0] = inside;
    hak_ace_drain(class, &counts, blocks[0], ~0u);
    CHECK_EQ(COUNT(integrity_errors), errors + 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(blocks_of_every_class_are_apart_and_marked_as_shared);
    RUN(runs_come_back_when_their_blocks_do);
    RUN(blocks_that_came_back_are_handed_out_again);
    RUN(a_block_may_be_freed_from_any_seat);
    RUN(refills_are_counted_and_failed_ones_are_not);
    RUN(direct_blocks_are_spans_of_their_own);
    RUN(a_refused_direct_block_is_enomem);
    RUN(a_link_that_leaves_the_class_ends_a_drain_and_is_reported);
    RUN(an_interior_pointer_in_a_drain_is_reported);
    return check_report();
}
