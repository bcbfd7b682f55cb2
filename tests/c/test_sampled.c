/* slab/sampled: sampled Tiny blocks of all classes lie side by side in units of their own. */
#include "slab/sampled.h"

#include "hak.h"
#include "mid/usable.h"

BOOT(unsampled, "HAKMEM_SAMPLE_BYTES=0") /* nobody else takes such blocks */

static void give(void *block) {
    hak_sampled_free(block);
}

static void classes_share_a_unit(void) {
    void *blocks[HAK_CLASS_CAPACITY];
    int64_t before = COUNT(mapped_bytes);
    for (unsigned c = 0; c < hak_classes.tiny_count; c++) {
        blocks[c] = hak_sampled_alloc(c);
        CHECK_EQ(hak_unit_of(blocks[c]), hak_unit_of(blocks[0]));
        CHECK_EQ(hak_zone.map[hak_unit_of(blocks[c])], HAK_SAMPLED_WORD);
        CHECK_EQ(hak_sampled_class(blocks[c]), c);
        CHECK_EQ(hak_unit_usable(HAK_SAMPLED_WORD, blocks[c]), hak_classes.size[c]);
        CHECK_EQ(CLASS_COUNT(c, mapped_class_bytes), hak_classes.size[c]);
    }
    CHECK_EQ(COUNT(mapped_bytes), before + (int64_t)HAK_UNIT_BYTES);
    for (unsigned c = 0; c < hak_classes.tiny_count; c++) {
        give(blocks[c]);
        CHECK_EQ(hak_sampled_class(blocks[c]), HAK_CLASS_NONE);
        CHECK_EQ(CLASS_COUNT(c, mapped_class_bytes), 0);
    }
}

static void blocks_keep_their_contents_and_alignment(void) {
    enum { MANY = 2000 };
    static unsigned char *blocks[MANY];
    static unsigned classes[MANY];
    struct check_rng rng = check_rng_seed(5);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 4 * MANY; i++) {
        unsigned at = (unsigned)check_rng_between(&rng, 0, MANY - 1), class = classes[at];
        size_t size = hak_classes.size[class];
        if (blocks[at] != NULL) {
            for (size_t b = 0; b < size; b++)
                wrong += blocks[at][b] != (unsigned char)at;
            give(blocks[at]);
            blocks[at] = NULL;
            continue;
        }
        classes[at] = class = (unsigned)check_rng_between(&rng, 0, hak_classes.tiny_count - 1);
        size = hak_classes.size[class];
        blocks[at] = hak_sampled_alloc(class);
        wrong += (uintptr_t)blocks[at] % (size & -size) != 0;
        memset(blocks[at], (int)at, size);
    }
    CHECK_EQ(wrong, 0);
    CHECK(COUNT(mapped_bytes) > 5 * (int64_t)HAK_UNIT_BYTES);
    int64_t kept = COUNT(mapped_bytes);
    for (unsigned i = 0; i < MANY; i++)
        if (blocks[i] != NULL)
            give(blocks[i]);
    CHECK(COUNT(mapped_bytes) < kept - 4 * (int64_t)HAK_UNIT_BYTES); /* all but the last one */
    CHECK_EQ(COUNT(integrity_errors), 0);
}

static void what_is_no_block_is_refused(void) {
    char *block = hak_sampled_alloc(hak_class_of(256));
    int64_t errors = COUNT(integrity_errors);
    give(block + 16);
    give(block + 8);
    CHECK_EQ(COUNT(integrity_errors), errors + 2);
    give(block);
    give(block);
    CHECK_EQ(COUNT(integrity_errors), errors + 3);
}

static void without_memory_there_is_none(void) {
    static void *blocks[64];
    unsigned class = hak_class_of(2048), got = 0;
    arm_faults(FAULT_MAP, 1, 1000);
    errno = 0;
    while (got < 64 && (blocks[got] = hak_sampled_alloc(class)) != NULL)
        got++;
    CHECK(disarm_faults() != 0);
    CHECK_EQ(errno, ENOMEM);
    CHECK_BETWEEN(got, 0, 32); /* what the last unit had */
    while (got != 0)
        give(blocks[--got]);
    give(hak_sampled_alloc(class));
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(classes_share_a_unit);
    RUN(blocks_keep_their_contents_and_alignment);
    RUN(what_is_no_block_is_refused);
    RUN(without_memory_there_is_none);
    return check_report();
}
