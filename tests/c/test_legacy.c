/* slab/legacy: single blocks from mappings of one unit, unmapped when they are empty. */
#include "slab/legacy.h"

#include "hak.h"

static void blocks_of_a_class_come_from_units_of_their_own(void) {
    unsigned small = hak_class_of(64), larger = hak_class_of(128);
    void *a = hak_legacy_alloc(small), *b = hak_legacy_alloc(small), *c = hak_legacy_alloc(larger);
    CHECK(a != NULL && b != NULL && c != NULL && a != b);
    CHECK_EQ(hak_unit_of(a), hak_unit_of(b));
    CHECK(hak_unit_of(a) != hak_unit_of(c));
    CHECK_EQ(hak_zone.map[hak_unit_of(a)], hak_unit_word(HAK_TAG_LEGACY, small));
    hak_legacy_free(hak_unit_of(a), a);
    hak_legacy_free(hak_unit_of(b), b);
    hak_legacy_free(hak_unit_of(c), c);
}

static void a_mapping_is_given_back_with_its_last_block(void) {
    unsigned class = hak_class_of(100);
    int64_t before = COUNT(mapped_bytes);
    void *block = hak_legacy_alloc(class);
    size_t unit = hak_unit_of(block);
    CHECK_EQ(COUNT(mapped_bytes), before + (int64_t)HAK_UNIT_BYTES);
    CHECK_EQ(CLASS_COUNT(class, mapped_class_bytes), HAK_UNIT_BYTES);
    hak_legacy_free(unit, block);
    CHECK_EQ(COUNT(mapped_bytes), before);
    CHECK_EQ(CLASS_COUNT(class, mapped_class_bytes), 0);
    CHECK_EQ(hak_zone.map[unit], 0);
}

static void allocations_and_frees_are_counted(void) {
    unsigned class = hak_class_of(200);
    int64_t allocs = CLASS_COUNT(class, legacy_allocs), frees = CLASS_COUNT(class, legacy_frees);
    void *block = hak_legacy_alloc(class);
    CHECK_EQ(CLASS_COUNT(class, legacy_allocs), allocs + 1);
    CHECK_EQ(live_of(class), 1);
    hak_legacy_free(hak_unit_of(block), block);
    CHECK_EQ(CLASS_COUNT(class, legacy_frees), frees + 1);
    CHECK_EQ(live_of(class), 0);
}

static void fill_and_check(unsigned class) {
    enum { MANY = 20000 };
    static unsigned char *blocks[MANY];
    size_t size = hak_classes.size[class], count = 3 * HAK_UNIT_BYTES / size;
    if (count > MANY)
        count = MANY;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = hak_legacy_alloc(class);
        if (!CHECK(blocks[i] != NULL))
            return;
        CHECK_EQ((uintptr_t)blocks[i] % (size % 2048 == 0 ? 2048 : size & -size), 0);
        memset(blocks[i], (int)i, size);
    }
    for (size_t i = 0; i < count; i++) {
        int whole = blocks[i][0] == (unsigned char)i && blocks[i][size - 1] == (unsigned char)i;
        if (!CHECK(whole))
            break;
    }
    for (size_t odd = 0; odd < 2; odd++)
        for (size_t i = odd; i < count; i += 2)
            hak_legacy_free(hak_unit_of(blocks[i]), blocks[i]);
    CHECK_EQ(CLASS_COUNT(class, mapped_class_bytes), 0);
}

static void blocks_of_every_class_are_apart_aligned_and_all_come_back(void) {
    for (unsigned class = 0; class < hak_classes.tiny_count; class ++)
        fill_and_check(class);
}

static void a_full_mapping_takes_blocks_again_when_one_is_freed(void) {
    unsigned class = hak_class_of(2048);
    void *blocks[31], *more;
    for (int i = 0; i < 31; i++)
        blocks[i] = hak_legacy_alloc(class);
    CHECK_EQ(hak_unit_of(blocks[0]), hak_unit_of(blocks[30]));
    more = hak_legacy_alloc(class);
    CHECK(hak_unit_of(more) != hak_unit_of(blocks[0]));
    hak_legacy_free(hak_unit_of(more), more);
    hak_legacy_free(hak_unit_of(blocks[7]), blocks[7]);
    CHECK((more = hak_legacy_alloc(class)) == blocks[7]);
    for (int i = 0; i < 31; i++)
        hak_legacy_free(hak_unit_of(blocks[i]), blocks[i]);
    CHECK_EQ(CLASS_COUNT(class, mapped_class_bytes), 0);
}

static void a_refused_mapping_is_enomem_and_the_next_one_works(void) {
    unsigned class = hak_class_of(48);
    arm_faults(FAULT_MAP, 1, 100);
    errno = 0;
    CHECK(hak_legacy_alloc(class) == NULL);
    CHECK_EQ(errno, ENOMEM);
    disarm_faults();
    void *block = hak_legacy_alloc(class);
    CHECK(block != NULL);
    hak_legacy_free(hak_unit_of(block), block);
    CHECK_EQ(live_of(class), 0);
}

static void *churn(void *seed) {
    struct check_rng rng = check_rng_seed(*(uint64_t *)seed);
    unsigned class = hak_class_of(300);
    uint64_t *held[64] = {NULL};
    size_t bad = 0;
    for (unsigned i = 0; i < rounds_of(5000); i++) {
        uint64_t **slot = &held[check_rng_between(&rng, 0, 63)];
        if (*slot == NULL) {
            if ((*slot = hak_legacy_alloc(class)) != NULL)
                (*slot)[5] = *(uint64_t *)seed;
            continue;
        }
        bad += (*slot)[5] != *(uint64_t *)seed;
        hak_legacy_free(hak_unit_of(*slot), *slot);
        *slot = NULL;
    }
    for (int i = 0; i < 64; i++)
        if (held[i] != NULL)
            hak_legacy_free(hak_unit_of(held[i]), held[i]);
    *(uint64_t *)seed = bad;
    return NULL;
}

static void threads_share_it_without_sharing_blocks(void) {
    uint64_t seeds[4] = {11, 22, 33, 44};
    run_threads(4, churn, seeds, sizeof *seeds);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(seeds[i], 0);
    CHECK_EQ(CLASS_COUNT(hak_class_of(300), mapped_class_bytes), 0);
    CHECK_EQ(live_of(hak_class_of(300)), 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(blocks_of_a_class_come_from_units_of_their_own);
    RUN(a_mapping_is_given_back_with_its_last_block);
    RUN(allocations_and_frees_are_counted);
    RUN(blocks_of_every_class_are_apart_aligned_and_all_come_back);
    RUN(a_full_mapping_takes_blocks_again_when_one_is_freed);
    RUN(a_refused_mapping_is_enomem_and_the_next_one_works);
    RUN(threads_share_it_without_sharing_blocks);
    return check_report();
}
