/* mid/big, mid/bigcache, os/purge: blocks above every class, and their way back. */
#include "mid/big.h"

#include <sys/mman.h>
#include <unistd.h>

#include "hak.h"
#include "mid/bigcache.h"
#include "mid/span.h"

enum { SITE_A = 0x1000, SITE_B = 0x2000 };

static char *alloc_at(size_t bytes, uintptr_t site) {
    int zeroed;
    return hak_big_alloc(bytes, 1, site, &zeroed);
}

static char *alloc(size_t bytes) {
    return alloc_at(bytes, SITE_A);
}

static int is_mapped(const void *address) {
    unsigned char resident;
    return mincore((void *)((uintptr_t)address & ~(uintptr_t)4095), 4096, &resident) == 0;
}

/* The cache and the batch with room for all that the tests free. */
static void allow_keeping(void) {
    char *room = alloc(512 * HAK_MIB);
    hak_big_free(room);
}

static void a_block_can_be_used_whole_and_knows_its_size(void) {
    static const size_t sizes[] = {1,           4096, 4097, HAK_MIB, HAK_MIB + 1, 3 * HAK_MIB + 17,
                                   40 * HAK_MIB};
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++) {
        char *block = alloc(sizes[i]);
        size_t usable = hak_big_usable(block);
        CHECK(usable >= sizes[i]);
        CHECK(usable - sizes[i] <= sizes[i] / 8 + 4096);
        CHECK_EQ((uintptr_t)block % 4096, 0);
        block[0] = block[usable - 1] = 1;
        CHECK_EQ(hak_big_free(block), 0);
    }
}

static void an_address_that_is_no_big_block_is_refused(void) {
    char *block = alloc(2 * HAK_MIB);
    int on_stack;
    CHECK_EQ(hak_big_free(&on_stack), -ENOENT);
    CHECK_EQ(hak_big_free(block + 4096), -ENOENT);
    CHECK_EQ(hak_big_free(block + 1), -ENOENT);
    CHECK_EQ(hak_big_usable(block + 4096), 0);
    CHECK_EQ(hak_big_free(block), 0);
    CHECK_EQ(hak_big_free(block), -ENOENT); /* for the second time */
    CHECK_EQ(hak_big_usable(block), 0);
}

static void huge_alignments_are_kept(void) {
    for (size_t align = 4096; align <= 512 * HAK_MIB; align *= 2) {
        int zeroed;
        char *block = hak_big_alloc(100000, align, SITE_A, &zeroed);
        if (!CHECK(block != NULL))
            continue;
        CHECK_EQ((uintptr_t)block % align, 0);
        CHECK(zeroed || align == 4096); /* what is kept serves no larger alignment */
        CHECK(!zeroed || (block[0] == 0 && block[99999] == 0));
        memset(block, 3, 100000);
        CHECK_EQ(hak_big_free(block), 0);
    }
}

static void impossible_sizes_and_alignments_are_enomem(void) {
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX};
    int zeroed;
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++) {
        errno = 0;
        CHECK(hak_big_alloc(sizes[i], 1, SITE_A, &zeroed) == NULL);
        CHECK_EQ(errno, ENOMEM);
    }
    errno = 0;
    CHECK(hak_big_alloc(4096, (size_t)1 << 63, SITE_A, &zeroed) == NULL);
    CHECK_EQ(errno, ENOMEM);
    CHECK(hak_big_alloc(4096, (size_t)1 << 50, SITE_A, &zeroed) == NULL);
}

static void memory_said_to_be_zero_is_zero(void) {
    for (int i = 0; i < 50; i++) {
        int zeroed;
        size_t bytes = (1 + (size_t)i % 5) * HAK_MIB;
        uint64_t *words = hak_big_alloc(bytes, 1, SITE_A, &zeroed), sum = 0;
        for (size_t w = 0; zeroed && w < bytes / 8; w += 32)
            sum |= words[w];
        CHECK_EQ(sum, 0);
        memset(words, 0xff, bytes);
        hak_big_free(words);
    }
}

static void many_blocks_are_all_found_again(void) {
    enum { MANY = 3000 };
    static char *blocks[MANY];
    struct check_rng rng = check_rng_seed(4);
    int64_t live = COUNT(big_live_blocks), bytes = COUNT(big_live_bytes);
    for (int i = 0; i < MANY; i++)
        blocks[i] = alloc(4096);
    CHECK_EQ(COUNT(big_live_blocks), live + MANY);
    for (int round = 0; round < 6000; round++) {
        char **slot = &blocks[check_rng_between(&rng, 0, MANY - 1)];
        CHECK(hak_big_usable(*slot) >= 4096);
        if (!CHECK_EQ(hak_big_free(*slot), 0))
            return;
        *slot = alloc(4096);
        **slot = 1;
    }
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(hak_big_free(blocks[i]), 0);
    CHECK_EQ(COUNT(big_live_blocks), live);
    CHECK_EQ(COUNT(big_live_bytes), bytes);
}

static void a_resized_block_keeps_its_contents_and_its_count(void) {
    int64_t live = COUNT(big_live_blocks);
    char *block = alloc(2 * HAK_MIB);
    memset(block, 0x31, 2 * HAK_MIB);
    for (size_t mib = 3; mib < 200; mib *= 2) {
        block = hak_big_resize(block, mib * HAK_MIB);
        if (!CHECK(block != NULL))
            return;
        CHECK(block[0] == 0x31 && block[2 * HAK_MIB - 1] == 0x31);
        CHECK(hak_big_usable(block) >= mib * HAK_MIB);
        block[mib * HAK_MIB - 1] = 1;
    }
    block = hak_big_resize(block, HAK_MIB);
    CHECK(block[HAK_MIB - 1] == 0x31);
    CHECK_EQ(COUNT(big_live_blocks), live + 1);
    hak_big_free(block);
}

static void a_refused_resize_leaves_the_block_alone(void) {
    char *block = alloc(2 * HAK_MIB);
    memset(block, 0x32, 2 * HAK_MIB);
    CHECK(hak_big_resize(block, SIZE_MAX) == NULL);
    int64_t mapped = COUNT(mapped_bytes);
    arm_faults(FAULT_REMAP, 1, 1000);
    CHECK(hak_big_resize(block, 64 * HAK_MIB) == NULL);
    CHECK(disarm_faults() >= 1);
    CHECK_EQ(COUNT(mapped_bytes), mapped);
    CHECK(hak_big_usable(block) >= 2 * HAK_MIB);
    CHECK(block[2 * HAK_MIB - 1] == 0x32);
    CHECK_EQ(hak_big_free(block), 0);
}

/* One refusal more each time: in place, at the place found for it, anywhere. */
static void a_block_grows_as_long_as_one_way_is_left(void) {
    for (long refused = 1; refused <= 2; refused++) {
        char *block = alloc(3 * HAK_MIB);
        memset(block, 0x33, 3 * HAK_MIB);
        arm_faults(FAULT_REMAP | FAULT_MAP, 1, refused);
        char *moved = hak_big_resize(block, 9 * HAK_MIB);
        disarm_faults();
        if (!CHECK(moved != NULL))
            return;
        CHECK(moved[0] == 0x33 && moved[3 * HAK_MIB - 1] == 0x33);
        CHECK(hak_big_usable(moved) >= 9 * HAK_MIB);
        CHECK_EQ(hak_big_free(moved), 0);
    }
}

static void blocks_that_grew_end_on_huge_pages_while_that_costs_little(void) {
    enum { MANY = 40 };
    char *blocks[MANY];
    size_t ends = 0, slack = 0;
    for (int i = 0; i < MANY; i++) {
        blocks[i] = hak_big_resize(alloc(HAK_MIB), 2 * HAK_MIB + 4096);
        if (!CHECK(blocks[i] != NULL))
            return;
        size_t usable = hak_big_usable(blocks[i]);
        ends += usable % (2 * HAK_MIB) == 0;
        slack += usable - (2 * HAK_MIB + 256 * HAK_KIB);
    }
    CHECK(ends > 0 && ends < MANY);
    CHECK(slack <= 4 * HAK_MIB + MANY * 4 * HAK_MIB / 8);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(hak_big_free(blocks[i]), 0);
    char *block = hak_big_resize(alloc(HAK_MIB), 5 * HAK_MIB);
    CHECK_EQ(hak_big_usable(block) % (2 * HAK_MIB), 0); /* they count no longer */
    hak_big_free(block);
}

/* ---- the way back --------------------------------------------------------------------- */

static void a_freed_block_serves_the_next_request_of_its_size(void) {
    allow_keeping();
    char *block = alloc(6 * HAK_MIB);
    hak_big_free(block);
    int64_t hits = COUNT(bigcache_hits), maps = COUNT(big_maps);
    CHECK(alloc(6 * HAK_MIB) == block);
    CHECK_EQ(COUNT(bigcache_hits), hits + 1);
    CHECK_EQ(COUNT(big_maps), maps);
    hak_big_free(block);
}

static void the_cache_gives_a_site_its_own_block_first(void) {
    allow_keeping();
    char *a = alloc_at(7 * HAK_MIB, SITE_A), *b = alloc_at(7 * HAK_MIB, SITE_B);
    hak_big_free(a);
    hak_big_free(b);
    CHECK(alloc_at(7 * HAK_MIB, SITE_A) == a);
    CHECK(alloc_at(7 * HAK_MIB, SITE_A) == b); /* another's is better than none */
    hak_big_free(a);
    hak_big_free(b);
}

static void the_cache_keeps_no_more_than_its_cap(void) {
    allow_keeping();
    SET_KNOB(bigcache_cap, 64);
    char *blocks[20];
    for (int i = 0; i < 20; i++)
        blocks[i] = alloc(10 * HAK_MIB);
    for (int i = 0; i < 20; i++)
        hak_big_free(blocks[i]);
    CHECK(COUNT(bigcache_bytes) <= (int64_t)(64 * HAK_MIB));
    CHECK(COUNT(bigcache_bytes) > 0);
    CHECK(COUNT(bigcache_evictions) > 0);
    SET_KNOB(bigcache_cap, 128);
}

static void without_a_cache_blocks_join_the_batch(void) {
    allow_keeping();
    SET_KNOB(bigcache, 0);
    char *block = alloc(5 * HAK_MIB);
    int64_t joined = COUNT(batch_blocks), unmaps = COUNT(big_unmaps);
    hak_big_free(block);
    CHECK_EQ(COUNT(batch_blocks), joined + 1);
    CHECK_EQ(COUNT(big_unmaps), unmaps); /* never unmapped right after it was added */
    CHECK(is_mapped(block));
    SET_KNOB(bigcache, 1);
}

static void a_full_batch_is_flushed_in_one_go(void) {
    allow_keeping();
    SET_KNOB(bigcache, 0);
    SET_KNOB(batch_count, 8);
    char *blocks[8];
    for (int i = 0; i < 8; i++)
        blocks[i] = alloc(3 * HAK_MIB);
    int64_t flushes = COUNT(batch_flushes), bytes = COUNT(batch_flushed_bytes);
    for (int i = 0; i < 8; i++)
        hak_big_free(blocks[i]);
    CHECK(COUNT(batch_flushes) >= flushes + 1);
    CHECK(COUNT(batch_flushes) <= flushes + 2);
    CHECK(COUNT(batch_flushed_bytes) > bytes);
    SET_KNOB(batch_count, 32);
    SET_KNOB(bigcache, 1);
}

static void without_cache_and_batch_a_block_is_unmapped_at_once(void) {
    SET_KNOB(bigcache, 0);
    SET_KNOB(batch, 0);
    int64_t mapped = COUNT(mapped_bytes), unmaps = COUNT(big_unmaps);
    char *block = alloc(9 * HAK_MIB);
    hak_big_free(block);
    CHECK(!is_mapped(block));
    CHECK_EQ(COUNT(big_unmaps), unmaps + 1);
    CHECK_EQ(COUNT(mapped_bytes), mapped);
    SET_KNOB(bigcache, 1);
    SET_KNOB(batch, 1);
}

static void with_batching_off_nothing_that_the_cache_evicts_is_batched(void) {
    allow_keeping();
    SET_KNOB(batch, 0);
    SET_KNOB(bigcache_cap, 64);
    int64_t joined = COUNT(batch_blocks);
    char *blocks[20];
    for (int i = 0; i < 20; i++)
        blocks[i] = alloc(10 * HAK_MIB);
    for (int i = 0; i < 20; i++)
        hak_big_free(blocks[i]);
    CHECK_EQ(COUNT(batch_blocks), joined);
    SET_KNOB(bigcache_cap, 128);
    SET_KNOB(batch, 1);
}

static void what_is_kept_never_exceeds_what_was_once_in_use(void) {
    int64_t mapped = COUNT(mapped_bytes), live = COUNT(big_live_bytes), peak = mapped;
    struct check_rng rng = check_rng_seed(8);
    char *blocks[16] = {NULL};
    for (int i = 0; i < 2000; i++) {
        char **slot = &blocks[check_rng_between(&rng, 0, 15)];
        if (*slot != NULL)
            hak_big_free(*slot);
        *slot = alloc(check_rng_between(&rng, HAK_MIB, 12 * HAK_MIB));
        peak = COUNT(mapped_bytes) > peak ? COUNT(mapped_bytes) : peak;
    }
    for (int i = 0; i < 16; i++)
        hak_big_free(blocks[i]);
    CHECK(COUNT(big_live_bytes) == live);
    CHECK(COUNT(mapped_bytes) - mapped < (int64_t)(800 * HAK_MIB));
}

/* The pages of what is kept and what is in use together are never more than were in use. */
static void what_is_kept_gives_way_to_what_grows(void) {
    allow_keeping();
    size_t most = 520 * HAK_MIB + 4 * HAK_MIB; /* what allow_keeping() has brought about */
    char *kept[30];
    for (int i = 0; i < 30; i++)
        kept[i] = alloc(12 * HAK_MIB);
    for (int i = 0; i < 30; i++)
        hak_big_free(kept[i]);
    CHECK(COUNT(bigcache_bytes) > 0);
    char *block = alloc(2 * HAK_MIB);
    for (size_t mib = 4; mib <= 512; mib *= 2) {
        block = hak_big_resize(block, mib * HAK_MIB);
        if (!CHECK(block != NULL))
            return;
        CHECK((size_t)(COUNT(big_live_bytes) + COUNT(bigcache_bytes)) <= most);
    }
    CHECK((size_t)COUNT(bigcache_bytes) <= 12 * HAK_MIB);
    hak_big_free(block);
}

static void a_refused_mapping_is_enomem_and_the_next_one_works(void) {
    for (long k = 1; k <= 3; k++) {
        arm_faults(FAULT_MAP, k, 1000);
        errno = 0;
        char *block = alloc(300 * HAK_MIB + (size_t)k * 50 * HAK_MIB);
        if (block == NULL)
            CHECK_EQ(errno, ENOMEM);
        else
            hak_big_free(block);
        disarm_faults();
    }
    char *block = alloc(300 * HAK_MIB);
    CHECK(block != NULL);
    hak_big_free(block);
}

/* The kernel may place a mapping among the addresses of the zone, which is far larger than what it
 * uses: a block there is not the zone's, though it may begin where one of its spans could. */
static uintptr_t wanted_place;

static void *map_at_wanted_place(void *hint, size_t bytes) {
    return real_os.map(hint != NULL ? hint : (void *)wanted_place, bytes);
}

static void a_mapping_among_the_zones_addresses_is_not_taken_for_a_span(void) {
    int zeroed;
    size_t units = 40;
    arm_faults(0, 1, 0);
    size_t held = hak_span_take(units, &zeroed);
    wanted_place = hak_zone.base + ((hak_zone.units / 2) << HAK_UNIT_LG);
    hak_os.map = map_at_wanted_place;
    hak_big_reclaim(); /* nothing is kept that would serve */
    char *block = alloc(units * HAK_UNIT_BYTES);
    hak_os.map = faulty_map;
    if (!CHECK((uintptr_t)block == wanted_place))
        return;
    CHECK_EQ(hak_big_free(block), 0);
    for (int i = 0; i < 64; i++) {
        size_t unit = hak_span_take(1, &zeroed);
        CHECK(unit < held || unit >= held + units);
    }
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_block_can_be_used_whole_and_knows_its_size);
    RUN(an_address_that_is_no_big_block_is_refused);
    RUN(huge_alignments_are_kept);
    RUN(impossible_sizes_and_alignments_are_enomem);
    RUN(memory_said_to_be_zero_is_zero);
    RUN(many_blocks_are_all_found_again);
    RUN(a_resized_block_keeps_its_contents_and_its_count);
    RUN(a_refused_resize_leaves_the_block_alone);
    RUN(a_block_grows_as_long_as_one_way_is_left);
    RUN(blocks_that_grew_end_on_huge_pages_while_that_costs_little);
    RUN(a_freed_block_serves_the_next_request_of_its_size);
    RUN(the_cache_gives_a_site_its_own_block_first);
    RUN(the_cache_keeps_no_more_than_its_cap);
    RUN(without_a_cache_blocks_join_the_batch);
    RUN(a_full_batch_is_flushed_in_one_go);
    RUN(without_cache_and_batch_a_block_is_unmapped_at_once);
    RUN(with_batching_off_nothing_that_the_cache_evicts_is_batched);
    RUN(what_is_kept_never_exceeds_what_was_once_in_use);
    RUN(what_is_kept_gives_way_to_what_grows);
    RUN(a_refused_mapping_is_enomem_and_the_next_one_works);
    RUN(a_mapping_among_the_zones_addresses_is_not_taken_for_a_span);
    return check_report();
}
