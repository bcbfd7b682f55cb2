/*
 * pools.h - a thread that takes slabs from the shared pool and gives them back, without its heap:
 * which stage served it, and how the pool is made empty. For the tests of slab/shared_pool.
 */
#ifndef HAK_TESTS_POOLS_H
#define HAK_TESTS_POOLS_H

#include "core/codes.h"
#include "slabs.h"

static struct hak_block counts; /* of the thread that the tests play */
static struct hak_pool_outcome outcome;

__attribute__((unused)) static struct hak_slab *acquire(unsigned class) {
    outcome = (struct hak_pool_outcome){.stage = 0};
    return hak_pool_acquire(class, ALICE, 1, &counts, &outcome);
}

__attribute__((unused)) static struct hak_slab *acquire_used(unsigned class) {
    outcome = (struct hak_pool_outcome){.stage = 0};
    return hak_pool_acquire(class, ALICE, 0, &counts, &outcome);
}

/* Which stage served the last acquire: 0.5 is 0; -1 when it failed. Checks that it is counted
 * once and nowhere else. */
static struct hak_slab *last;
__attribute__((unused)) static int stage_of_acquire(unsigned class) {
    uint64_t before[4], *word = &counts.class[class][HAK_CLASS_stage_0_5];
    int stage = -1;
    memcpy(before, word, sizeof before);
    last = acquire(class);
    for (int i = 0; i < 4; i++)
        if (word[i] != before[i]) {
            CHECK_EQ(word[i], before[i] + 1);
            CHECK_EQ(stage, -1);
            stage = i;
        }
    CHECK_EQ(stage >= 0, last != NULL);
    return stage;
}

/* Afterwards the pool holds no EMPTY and no UNUSED slot. */
__attribute__((unused)) static void use_up_the_pool(void) {
    while (stage_of_acquire(1) != HAK_STAGE_NEW_SUPERSLAB)
        ;
    while (hak_superslab_of(last)->claimed < hak_superslab_of(last)->slots)
        acquire(1);
}

__attribute__((unused)) static void release(struct hak_slab *slab) {
    hak_pool_release(slab, &counts);
}

/* As one of which every page has been cut. */
__attribute__((unused)) static void release_warm(struct hak_slab *slab) {
    slab->warm = HAK_UNIT_BYTES / HAK_PAGE_BYTES;
    release(slab);
}

#endif
