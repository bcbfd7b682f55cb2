/* mid/big: kept blocks that serve requests of another size. */
#include "mid/big.h"

#include "hak.h"
#include "mid/bigcache.h"

enum { SITE = 0x1000 };

static char *alloc(size_t bytes) {
    int zeroed;
    return hak_big_alloc(bytes, 1, SITE, &zeroed);
}

/* The cache empty, with room for all that a test frees. */
static void allow_keeping(void) {
    hak_big_free(alloc(512 * HAK_MIB));
    hak_big_reclaim();
}

static void a_longer_kept_block_is_cut_and_its_parts_are_joined_again(void) {
    allow_keeping();
    char *whole = alloc(24 * HAK_MIB);
    hak_big_free(whole);
    int64_t maps = COUNT(big_maps), bytes = COUNT(mapped_bytes);
    char *first = alloc(6 * HAK_MIB), *second = alloc(10 * HAK_MIB), *third = alloc(8 * HAK_MIB);
    CHECK(first == whole && second == whole + 6 * HAK_MIB && third == whole + 16 * HAK_MIB);
    CHECK_EQ(COUNT(bigcache_bytes), 0);
    hak_big_free(second);
    hak_big_free(third);
    hak_big_free(first);
    CHECK_EQ(COUNT(bigcache_bytes), 24 * HAK_MIB);
    CHECK(alloc(24 * HAK_MIB) == whole);
    CHECK_EQ(COUNT(big_maps), maps);
    CHECK_EQ(COUNT(mapped_bytes), bytes);
    hak_big_free(whole);
}

static void blocks_that_were_never_one_are_not_joined(void) {
    char *blocks[8];
    allow_keeping();
    for (size_t i = 0; i < HAK_COUNT_OF(blocks); i++)
        blocks[i] = alloc(2 * HAK_MIB);
    for (size_t i = 0; i < HAK_COUNT_OF(blocks); i++)
        hak_big_free(blocks[i]);
    int64_t hits = COUNT(bigcache_hits);
    for (size_t i = 0; i < HAK_COUNT_OF(blocks); i++)
        blocks[i] = alloc(2 * HAK_MIB);
    CHECK_EQ(COUNT(bigcache_hits), hits + (int64_t)HAK_COUNT_OF(blocks));
    for (size_t i = 0; i < HAK_COUNT_OF(blocks); i++)
        hak_big_free(blocks[i]);
}

static void a_shorter_kept_block_is_made_longer(void) {
    int zeroed;
    allow_keeping();
    char *block = alloc(8 * HAK_MIB);
    memset(block, 7, 8 * HAK_MIB);
    hak_big_free(block);
    int64_t maps = COUNT(big_maps), bytes = COUNT(mapped_bytes);
    char *longer = hak_big_alloc(12 * HAK_MIB, 1, SITE, &zeroed);
    CHECK(longer[0] == 7 && longer[8 * HAK_MIB - 1] == 7); /* the same pages */
    CHECK(!zeroed && longer[12 * HAK_MIB - 1] == 0);
    CHECK_EQ(COUNT(big_maps), maps);
    CHECK_EQ(COUNT(mapped_bytes), bytes + 4 * (int64_t)HAK_MIB);
    hak_big_free(longer);
}

static void what_cannot_be_made_longer_stays_kept(void) {
    allow_keeping();
    hak_big_free(alloc(8 * HAK_MIB));
    int64_t maps = COUNT(big_maps);
    arm_faults(FAULT_REMAP, 1, 1000);
    char *block = alloc(12 * HAK_MIB + 4096);
    disarm_faults();
    CHECK(block != NULL);
    CHECK_EQ(COUNT(big_maps), maps + 1);
    CHECK_EQ(COUNT(bigcache_bytes), 8 * HAK_MIB);
    hak_big_free(block);
}

static void a_block_grows_into_what_is_kept_behind_it(void) {
    allow_keeping();
    char *whole = alloc(16 * HAK_MIB);
    hak_big_free(whole);
    int64_t bytes = COUNT(mapped_bytes);
    char *block = alloc(4 * HAK_MIB);
    CHECK(block == whole);
    CHECK(hak_big_resize(block, 10 * HAK_MIB) == whole);
    CHECK_EQ(hak_big_usable(block), 10 * HAK_MIB);
    CHECK_EQ(COUNT(bigcache_bytes), 6 * HAK_MIB);
    char *behind = alloc(6 * HAK_MIB);
    CHECK(behind == whole + 10 * HAK_MIB);
    memset(block, 1, 10 * HAK_MIB);
    memset(behind, 2, 6 * HAK_MIB);
    CHECK_EQ(block[10 * HAK_MIB - 1], 1);
    CHECK_EQ(COUNT(mapped_bytes), bytes);
    hak_big_free(block);
    hak_big_free(behind);
    CHECK_EQ(COUNT(bigcache_bytes), 16 * HAK_MIB);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_longer_kept_block_is_cut_and_its_parts_are_joined_again);
    RUN(blocks_that_were_never_one_are_not_joined);
    RUN(a_shorter_kept_block_is_made_longer);
    RUN(what_cannot_be_made_longer_stays_kept);
    RUN(a_block_grows_into_what_is_kept_behind_it);
    return check_report();
}
