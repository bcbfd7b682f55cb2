/* mid/ace: Mid and Large blocks out of runs, their soft caps, and what no class may serve. */
#include "mid/ace.h"

#include "hak.h"
#include "os/zone.h"
#include "slab/shared_pool.h"

BOOT(unsampled, "HAKMEM_SAMPLE_BYTES=0") /* a sample lies elsewhere, and does not grow in place */

static struct hak_block counts;

static unsigned refill(unsigned class, unsigned seat, unsigned want, void **list) {
    struct hak_ace_request request = {class, hak_classes.size[class], 1, seat, want, 0, &counts};
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

/* What Tiny has in memory and does not use: blocks of every class that fits, and back again. */
static void runs_of_one_unit_lie_in_slots_that_tiny_does_not_use(void) {
    enum { SLOTS = 40, MANY = 400 };
    static void *tiny[SLOTS], *blocks[MANY];
    struct hak_pool_outcome outcome;
    static struct hak_block pool_counts;
    struct hak_slab *slabs[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        slabs[i] = hak_pool_acquire(5, 3, 1, &pool_counts, &outcome);
        tiny[i] = hak_slab_blocks(slabs[i]);
    }
    for (int i = 0; i < SLOTS; i++) {
        slabs[i]->warm = HAK_UNIT_BYTES / HAK_PAGE_BYTES; /* as if blocks had been cut to its end */
        hak_pool_release(slabs[i], &pool_counts);
    }
    int64_t empty = CLASS_COUNT(5, empty_slots);
    unsigned class = hak_class_of(2700), lent = 0;
    take(class, 0, MANY, blocks);
    CHECK(CLASS_COUNT(5, empty_slots) < empty);
    for (int i = 0; i < MANY; i++)
        memset(blocks[i], i & 0xff, hak_classes.size[class]);
    for (int i = 0; i < MANY; i++) {
        const unsigned char *bytes = blocks[i];
        CHECK_EQ(bytes[0], i & 0xff);
        CHECK_EQ(bytes[hak_classes.size[class] - 1], i & 0xff);
        for (int slot = 0; slot < SLOTS; slot++)
            lent += hak_unit_of(tiny[slot]) == hak_unit_of(blocks[i]);
    }
    CHECK(lent > MANY / 2);
    for (int i = 0; i < SLOTS; i++) /* headers are untouched */
        CHECK_EQ(hak_superslab_of(slabs[i])->magic, HAK_SUPERSLAB_MAGIC);
    drain(class, blocks, MANY);
    CHECK(CLASS_COUNT(5, empty_slots) >= empty - 1); /* each shard keeps its last run */
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

/* ---- soft caps, W_MAX, neighbours ------------------------------------------------------ */

static struct hak_ace_answer ask(size_t bytes, unsigned want) {
    struct hak_ace_answer answer;
    struct hak_ace_request request = {hak_class_of(bytes), bytes, 1, 0, want, 0, &counts};
    CHECK_EQ(hkm_ace_alloc(&request, &answer), 1);
    return answer;
}

static unsigned length_of(void *list) {
    unsigned length = 0;
    for (; list != NULL; list = *(void **)list)
        length++;
    return length;
}

static void set_w_max(enum hak_knob_index knob, double value) {
    __builtin_memcpy(&hak_config[knob].value, &value, sizeof value);
    publish_policy();
}

static void an_empty_shard_asks_its_neighbours_before_it_maps(void) {
    unsigned class = hak_class_of(11000);
    void *blocks[8];
    CHECK_EQ(take(class, 1, 8, blocks), 8);
    drain(class, blocks + 1, 7); /* the eighth keeps the run of seat 1 */
    uint64_t misses = counts.class[class][HAK_CLASS_pool_misses];
    CHECK_EQ(take(class, 2, 7, blocks + 1), 7);
    CHECK_EQ(counts.class[class][HAK_CLASS_pool_misses], misses);
    drain(class, blocks, 8);
}

static void a_class_over_its_cap_is_told_as_exhausted_and_still_served(void) {
    unsigned class = hak_class_of(14000);
    void *blocks[40];
    uint64_t told = counts.scalar[HAK_SCALAR_ace_exhaustion];
    set_w_max(HAK_KNOB_w_max_mid, 1.0); /* larger classes are no way out */
    SET_KNOB(cap_mid, 4);
    CHECK_EQ(take(class, 0, 40, blocks), 40);
    CHECK(counts.scalar[HAK_SCALAR_ace_exhaustion] > told);
    drain(class, blocks, 40);
    SET_KNOB(cap_mid, 0);
    set_w_max(HAK_KNOB_w_max_mid, 2.0);
}

static void a_class_over_its_cap_gets_its_blocks_one_by_one(void) {
    unsigned class = hak_class_of(18000);
    void *blocks[12], *list = NULL, *larger;
    struct hak_ace_request request = {class, 18000, 1, 0, 8, 0, &counts};
    CHECK_EQ(take(class, 0, 12, blocks), 12);
    drain(class, blocks + 1, 11);
    CHECK(hak_ace_refill(&request, &list, &larger) > 1);
    drain(class, &list, 0);
    hak_ace_drain(class, &counts, list, ~0u);
    SET_KNOB(cap_mid, 2);
    list = NULL;
    CHECK_EQ(hak_ace_refill(&request, &list, &larger), 1);
    hak_ace_drain(class, &counts, list, ~0u);
    SET_KNOB(cap_mid, 0);
    drain(class, blocks, 1);
}

static void below_its_cap_the_bundle_follows_the_deficit(void) {
    unsigned class = hak_class_of(3000);
    void *blocks[20], *list = NULL, *larger;
    struct hak_ace_request request = {class, 3000, 1, 0, 20, 0, &counts};
    CHECK_EQ(take(class, 0, 20, blocks), 20);
    drain(class, blocks + 1, 19);
    SET_KNOB(cap_mid, 1000); /* nearly all of it is missing */
    unsigned got = hak_ace_refill(&request, &list, &larger);
    CHECK(got >= 3 && got <= 4);
    hak_ace_drain(class, &counts, list, ~0u);
    SET_KNOB(cap_mid, 0);
    drain(class, blocks, 1);
}

static void over_its_cap_a_request_is_cut_from_a_larger_class_as_w_max_allows(void) {
    unsigned larger = hak_class_of(28000);
    void *blocks[4], *own[16];
    CHECK_EQ(take(larger, 0, 4, blocks), 4);
    drain(larger, blocks + 1, 3);
    CHECK_EQ(take(hak_class_of(24000), 0, 8, own), 8); /* held by now: over a cap of one */
    SET_KNOB(cap_mid, 1);
    struct hak_ace_answer answer = {0};
    for (int i = 0; i < 8 && answer.class != larger; i++) {
        answer = ask(24000, 1);
        own[8 + i] = answer.block;
        CHECK(answer.class == larger || answer.class == hak_class_of(24000));
    }
    CHECK_EQ(answer.class, larger);
    CHECK_EQ(hak_zone.map[hak_unit_of(answer.block)] & HAK_CLASS_MASK, larger);
    SET_KNOB(cap_mid, 0);
}

static void a_class_wider_than_w_max_does_not_serve(void) {
    struct hak_ace_answer answer;
    size_t bytes = 33 * 1024;
    unsigned class = hak_class_of(bytes);
    struct hak_ace_request request = {class, bytes, 1, 0, 1, 0, &counts};
    uint64_t told = counts.scalar[HAK_SCALAR_ace_threshold];
    set_w_max(HAK_KNOB_w_max_large, 1.0);
    CHECK_EQ(hkm_ace_alloc(&request, &answer), 0);
    CHECK_EQ(counts.scalar[HAK_SCALAR_ace_threshold], told + 1);
    void *block = hak_malloc(bytes); /* Big serves it */
    CHECK(block != NULL && hak_unit_of(block) >= hak_zone.units);
    hak_free(block);
    set_w_max(HAK_KNOB_w_max_large, 2.0);
    CHECK_EQ(hkm_ace_alloc(&request, &answer), 1);
    hak_ace_drain(class, &counts, answer.block, ~0u);
}

static void an_answer_brings_a_block_and_the_rest_for_the_front(void) {
    unsigned class = hak_class_of(7000);
    void *blocks[6];
    CHECK_EQ(take(class, 0, 6, blocks), 6);
    drain(class, blocks + 1, 5);
    struct hak_ace_answer answer = ask(7000, 5);
    CHECK(answer.block != NULL);
    CHECK_EQ(answer.class, class);
    CHECK_EQ(length_of(answer.rest), answer.rest_count);
    CHECK_EQ(answer.rest_count, 4);
    *(void **)answer.block = answer.rest;
    hak_ace_drain(class, &counts, answer.block, ~0u);
    drain(class, blocks, 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(blocks_of_every_class_are_apart_and_marked_as_shared);
    RUN(runs_come_back_when_their_blocks_do);
    RUN(blocks_that_came_back_are_handed_out_again);
    RUN(a_block_may_be_freed_from_any_seat);
    RUN(refills_are_counted_and_failed_ones_are_not);
    RUN(runs_of_one_unit_lie_in_slots_that_tiny_does_not_use);
    RUN(a_link_that_leaves_the_class_ends_a_drain_and_is_reported);
    RUN(an_interior_pointer_in_a_drain_is_reported);
    RUN(an_empty_shard_asks_its_neighbours_before_it_maps);
    RUN(a_class_over_its_cap_is_told_as_exhausted_and_still_served);
    RUN(a_class_over_its_cap_gets_its_blocks_one_by_one);
    RUN(below_its_cap_the_bundle_follows_the_deficit);
    RUN(over_its_cap_a_request_is_cut_from_a_larger_class_as_w_max_allows);
    RUN(a_class_wider_than_w_max_does_not_serve);
    RUN(an_answer_brings_a_block_and_the_rest_for_the_front);
    return check_report();
}
