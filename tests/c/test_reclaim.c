/*
 * What happens when the system refuses memory: tiers give back what no block is in, and get it
 * again when they need it. One thread; test_traces does the same among many.
 */
#include <sys/mman.h>

#include "front/front.h"
#include "mid/big.h"
#include "mid/span.h"
#include "slabs.h"

enum { CLASS = 20, MANY = 100 };
static struct hak_slab *slabs[MANY];
static struct hak_block counts;

static struct hak_slab *acquire(void) {
    struct hak_pool_outcome outcome;
    return hak_pool_acquire(CLASS, ALICE, 1, &counts, &outcome);
}

static void acquire_many(unsigned many) {
    for (unsigned i = 0; i < many; i++)
        slabs[i] = acquire();
}

static void release_many(unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++)
        hak_pool_release(slabs[i], &counts);
}

static bool is_mapped(const void *address) {
    unsigned char in_memory;
    return mincore((void *)((uintptr_t)address & ~(uintptr_t)4095), 4096, &in_memory) == 0;
}

static unsigned count_mapped(void) {
    unsigned mapped = 0;
    for (unsigned i = 0; i < MANY; i++)
        mapped += is_mapped(hak_slab_blocks(slabs[i]) + 32768);
    return mapped;
}

static void superslabs_without_used_blocks_give_their_addresses_back(void) {
    acquire_many(MANY);
    release_many(0, MANY);
    CHECK_EQ(count_mapped(), MANY);
    int64_t superslabs = COUNT(superslabs);
    CHECK(hak_pool_reclaim() >= (MANY - 32) * (size_t)HAK_UNIT_BYTES);
    CHECK(count_mapped() < 32);         /* the one that still has slots to carve may stay */
    CHECK(COUNT(superslabs) < superslabs);
    CHECK_EQ(CLASS_COUNT(CLASS, empty_slots), 0);
    CHECK_EQ(hak_pool_reclaim(), 0);
}

static void headers_stay_for_those_who_come_late(void) {
    for (unsigned i = 0; i < MANY; i++)
        if (!CHECK(is_mapped(slabs[i])) || !CHECK_EQ(slabs[i]->used, 0))
            return;
}

static void a_free_into_what_was_given_back_is_reported(void) {
    char *gone = hak_slab_blocks(slabs[0]) + 1024;
    int64_t frees = COUNT(foreign_frees);
    CHECK_EQ(hak_zone.map[hak_unit_of(gone)], 0);
    hak_free(gone);
    CHECK_EQ(COUNT(foreign_frees), frees + 1);
}

static void they_come_back_with_the_first_slot(void) {
    acquire_many(MANY);
    for (unsigned i = 0; i < MANY; i++) {
        void *block;
        if (!CHECK(slabs[i] != NULL) || !CHECK_EQ(take_blocks(slabs[i], 1, &block), 1))
            return;
        memset(block, 1, 1024);
        put_block(slabs[i], block);
    }
    release_many(0, MANY);
    hak_pool_reclaim();
}

static void what_was_given_back_is_cut_page_by_page_again(void) {
    void *blocks[8], *list = NULL;
    struct hak_slab *slab = acquire();
    unsigned a_page = hak_slab_take(slab, 64, &list);
    take_blocks(slab, 8, blocks); /* of two more pages */
    hak_pool_release(slab, &counts);
    slab = acquire();
    list = NULL;
    CHECK(hak_slab_take(slab, 64, &list) > a_page);
    hak_pool_release(slab, &counts);
    hak_pool_reclaim();
    do { /* each slot in turn */
        slab = acquire();
        list = NULL;
        if (!CHECK_BETWEEN(hak_slab_take(slab, 64, &list), 1, a_page))
            break;
    } while (slab->index != 0);
    hak_pool_reclaim();
}

static void one_used_block_keeps_its_superslab(void) {
    void *block;
    acquire_many(MANY);
    take_blocks(slabs[50], 1, &block);
    memset(block, 7, 1024);
    release_many(0, 50);
    release_many(51, MANY);
    CHECK(hak_pool_reclaim() > 0);
    CHECK_EQ(((char *)block)[1023], 7);
    CHECK_EQ(hak_zone.map[hak_unit_of(block)], hak_unit_word(ALICE, CLASS));
    put_block(slabs[50], block);
    release_many(50, 51);
    CHECK(hak_pool_reclaim() > 0);
}

static void a_refused_return_loses_no_slot(void) {
    acquire_many(MANY);
    release_many(0, MANY);
    hak_pool_reclaim();
    int64_t superslabs = COUNT(superslab_maps);
    arm_faults(FAULT_MAP, 1, 1000000);
    unsigned got = 0;
    while (got < MANY && (slabs[got] = acquire()) != NULL)
        got++;
    CHECK(got < 32);
    CHECK(disarm_faults() > 0);
    for (unsigned i = got; i < MANY; i++)
        CHECK((slabs[i] = acquire()) != NULL);
    CHECK(COUNT(superslab_maps) <= superslabs + MANY / 32 + 1);
    release_many(0, MANY);
    hak_pool_reclaim();
}

static void a_refused_unmapping_leaves_a_superslab_as_it_was(void) {
    acquire_many(MANY);
    release_many(0, MANY);
    arm_faults(FAULT_UNMAP, 1, 1000000);
    CHECK_EQ(hak_pool_reclaim(), 0);
    disarm_faults();
    CHECK_EQ(count_mapped(), MANY);
    CHECK(hak_pool_reclaim() > 0);
}

static void free_chunks_of_spans_go_and_others_stay(void) {
    int zeroed;
    size_t units[3];
    for (int i = 0; i < 3; i++)
        units[i] = hak_span_take(HAK_SPAN_MOST_UNITS, &zeroed);
    memset(hak_unit_address(units[1]), 5, HAK_UNIT_BYTES);
    hak_span_give(units[0], HAK_SPAN_MOST_UNITS);
    hak_span_give(units[2], HAK_SPAN_MOST_UNITS);
    int64_t bytes = COUNT(mapped_bytes);
    CHECK_EQ(hak_span_reclaim(), 2 * HAK_SPAN_MOST_UNITS * HAK_UNIT_BYTES);
    CHECK_EQ(COUNT(mapped_bytes), bytes - 2 * (int64_t)HAK_SPAN_MOST_UNITS * HAK_UNIT_BYTES);
    CHECK(!is_mapped(hak_unit_address(units[0])));
    CHECK_EQ(*hak_unit_address(units[1]), 5);
    for (int i = 0; i < 3; i++) { /* one comes into the place of each that went */
        units[i == 1 ? 0 : i] = hak_span_take(HAK_SPAN_MOST_UNITS, &zeroed);
        CHECK(zeroed);
    }
    CHECK_EQ(hak_span_reclaim(), 0);
}

static void kept_big_blocks_are_unmapped(void) {
    void *blocks[8];
    for (int i = 0; i < 8; i++)
        memset(blocks[i] = hak_malloc(3 * HAK_MIB), 1, 3 * HAK_MIB);
    for (int i = 0; i < 8; i++)
        hak_free(blocks[i]);
    CHECK(COUNT(big_maps) > COUNT(big_unmaps));
    CHECK(hak_big_reclaim() >= 8 * 3 * HAK_MIB);
    CHECK_EQ(COUNT(big_maps), COUNT(big_unmaps));
    CHECK_EQ(COUNT(bigcache_bytes), 0);
    CHECK_EQ(hak_big_reclaim(), 0);
}

/* A program that has freed everything gets what it asks for, whatever tier held it before. */
static void malloc_reclaims_before_it_fails(void) {
    void *big = hak_malloc(3 * HAK_MIB), *small;
    hak_free(big);
    CHECK(COUNT(bigcache_bytes) > 0);
    arm_faults(FAULT_MAP, 1, 2); /* with and without room to align for huge pages */
    CHECK((small = hak_malloc(9 * HAK_MIB)) != NULL);
    CHECK_EQ(disarm_faults(), 2);
    CHECK_EQ(COUNT(bigcache_bytes), 0);
    hak_free(small);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(superslabs_without_used_blocks_give_their_addresses_back);
    RUN(headers_stay_for_those_who_come_late);
    RUN(a_free_into_what_was_given_back_is_reported);
    RUN(they_come_back_with_the_first_slot);
    RUN(what_was_given_back_is_cut_page_by_page_again);
    RUN(one_used_block_keeps_its_superslab);
    RUN(a_refused_return_loses_no_slot);
    RUN(a_refused_unmapping_leaves_a_superslab_as_it_was);
    RUN(free_chunks_of_spans_go_and_others_stay);
    RUN(kept_big_blocks_are_unmapped);
    RUN(malloc_reclaims_before_it_fails);
    return check_report();
}
