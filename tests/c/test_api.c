/* front: the malloc family as the program sees it, over all tiers. */
#include "front/front.h"
#include "hak.h"

static const size_t sizes[] = {
    0,      1,      7,           8,       9,           16,          17,          63,
    64,     65,     1024,        1025,    2047,        2048,        2049,        4096,
    4097,   10000,  32768,       32769,   65536,       65537,       99999,       262144,
    262145, 524288, HAK_MIB - 1, HAK_MIB, HAK_MIB + 1, 3 * HAK_MIB, 33 * HAK_MIB};

static void every_size_is_served_aligned_and_usable(void) {
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++) {
        unsigned char *block = hak_malloc(sizes[i]);
        if (!CHECK(block != NULL))
            continue;
        size_t usable = hak_malloc_usable_size(block);
        CHECK(usable >= sizes[i] && usable > 0);
        CHECK_EQ((uintptr_t)block % (sizes[i] > 8 ? 16 : 8), 0);
        memset(block, 0xa5, usable);
        hak_free(block);
    }
}

static void two_live_blocks_of_size_zero_differ(void) {
    void *a = hak_malloc(0), *b = hak_malloc(0), *c = hak_calloc(0, 10), *d = hak_realloc(NULL, 0);
    CHECK(a != NULL && b != NULL && c != NULL && d != NULL);
    CHECK(a != b && a != c && a != d && b != c && b != d && c != d);
    hak_free(a), hak_free(b), hak_free(c), hak_free(d);
}

static void calloc_gives_zeros_also_in_used_memory(void) {
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++) {
            unsigned char *dirty = hak_malloc(sizes[i]), *block, sum = 0;
            memset(dirty, 0xff, sizes[i]);
            hak_free(dirty);
            block = hak_calloc(1, sizes[i]);
            for (size_t k = 0; k < sizes[i]; k++)
                sum |= block[k];
            CHECK_EQ(sum, 0);
            memset(block, 0xee, sizes[i]);
            hak_free(block);
        }
}

static void products_that_overflow_are_enomem(void) {
    static const size_t pairs[][2] = {{SIZE_MAX, 2},
                                      {2, SIZE_MAX},
                                      {(size_t)1 << 32, (size_t)1 << 32},
                                      {SIZE_MAX / 2 + 1, 2},
                                      {SIZE_MAX, SIZE_MAX}};
    void *block = hak_malloc(10);
    memset(block, 7, 10);
    for (size_t i = 0; i < HAK_COUNT_OF(pairs); i++) {
        errno = 0;
        CHECK(hak_calloc(pairs[i][0], pairs[i][1]) == NULL);
        CHECK_EQ(errno, ENOMEM);
        errno = 0;
        CHECK(hak_reallocarray(block, pairs[i][0], pairs[i][1]) == NULL);
        CHECK_EQ(errno, ENOMEM);
    }
    CHECK_EQ(((char *)block)[9], 7);
    hak_free(block);
}

static void impossible_sizes_are_enomem_in_every_function(void) {
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 8, SIZE_MAX / 2 + 1, PTRDIFF_MAX,
                                  SIZE_MAX / 4};
    void *block = hak_malloc(100), *out = (void *)0x77;
    for (size_t i = 0; i < HAK_COUNT_OF(huge); i++) {
        errno = 0;
        CHECK(hak_malloc(huge[i]) == NULL);
        CHECK_EQ(errno, ENOMEM);
        CHECK(hak_realloc(block, huge[i]) == NULL);
        CHECK(hak_calloc(1, huge[i]) == NULL);
        CHECK(hak_valloc(huge[i]) == NULL);
        CHECK(hak_pvalloc(huge[i]) == NULL);
        errno = 0;
        CHECK(hak_aligned_alloc(64, huge[i]) == NULL);
        CHECK_EQ(errno, ENOMEM);
        CHECK(hak_memalign(4096, huge[i]) == NULL);
        errno = 5;
        CHECK_EQ(hak_posix_memalign(&out, 64, huge[i]), ENOMEM);
        CHECK_EQ(errno, 5);
        CHECK(out == (void *)0x77);
    }
    hak_free(block);
}

static void every_alignment_is_kept_for_every_size(void) {
    for (size_t align = 8; align <= 16 * HAK_MIB; align *= 2)
        for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++) {
            void *block = NULL;
            if (!CHECK_EQ(hak_posix_memalign(&block, align, sizes[i]), 0))
                continue;
            if (!CHECK_EQ((uintptr_t)block % align, 0))
                fprintf(stderr, "  align %zu, bytes %zu\n", align, sizes[i]);
            CHECK(hak_malloc_usable_size(block) >= sizes[i]);
            memset(block, 0x11, sizes[i]);
            hak_free(block);
        }
}

static void bad_alignments_are_einval(void) {
    static const size_t bad[] = {0, 1, 2, 3, 4, 6, 12, 24, 4095, SIZE_MAX};
    void *out = (void *)0x77;
    for (size_t i = 0; i < HAK_COUNT_OF(bad); i++) {
        CHECK_EQ(hak_posix_memalign(&out, bad[i], 10), EINVAL);
        CHECK(out == (void *)0x77);
    }
    errno = 0;
    CHECK(hak_aligned_alloc(24, 48) == NULL);
    CHECK_EQ(errno, EINVAL);
}

static void pages_are_asked_for_by_valloc_and_pvalloc(void) {
    void *a = hak_valloc(10), *b = hak_pvalloc(10), *c = hak_pvalloc(0), *d = hak_pvalloc(4097);
    CHECK_EQ((uintptr_t)a % 4096 + (uintptr_t)b % 4096 + (uintptr_t)c % 4096, 0);
    CHECK(hak_malloc_usable_size(b) >= 4096);
    CHECK(hak_malloc_usable_size(d) >= 8192);
    hak_free(a), hak_free(b), hak_free(c), hak_free(d);
}

/* From every size to every size, both ways: what fits in both is kept. */
static void a_block_that_creeps_up_is_moved_once_in_a_doubling(void) {
    char *block = hak_malloc(8 * 1024);
    unsigned moves = 0;
    for (size_t bytes = 8 * 1024; bytes <= 256 * 1024; bytes += 1024) {
        char *grown = hak_realloc(block, bytes);
        moves += grown != block;
        block = grown;
        block[bytes - 1] = (char)(bytes / 1024);
    }
    CHECK(moves <= 6);
    for (size_t bytes = 8 * 1024; bytes <= 256 * 1024; bytes += 1024)
        CHECK_EQ(block[bytes - 1], (char)(bytes / 1024));
    hak_free(block);
}

static void a_block_that_grows_at_a_jump_gets_no_more_than_its_class(void) {
    char *block = hak_realloc(hak_malloc(9000), 40000);
    CHECK_EQ(hak_malloc_usable_size(block), 40960);
    hak_free(block);
}

static void realloc_keeps_the_contents_between_all_tiers(void) {
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++)
        for (size_t k = 0; k < HAK_COUNT_OF(sizes); k++) {
            size_t both = hak_min(sizes[i], sizes[k]), bad = 0;
            unsigned char *block = hak_malloc(sizes[i]);
            for (size_t b = 0; b < both; b += b < 64 ? 1 : 257)
                block[b] = (unsigned char)(b * 31 + 7);
            if (both != 0)
                block[both - 1] = 0x99;
            block = hak_realloc(block, sizes[k]);
            if (sizes[k] == 0) {
                CHECK(block == NULL);
                continue;
            }
            if (!CHECK(block != NULL))
                continue;
            for (size_t b = 0; b + 1 < both; b += b < 64 ? 1 : 257)
                bad += block[b] != (unsigned char)(b * 31 + 7);
            CHECK_EQ(bad, 0);
            CHECK(both == 0 || block[both - 1] == 0x99);
            memset(block, 1, sizes[k]);
            hak_free(block);
        }
}

static void a_growing_block_is_moved_seldom(void) {
    char *block = hak_malloc(16), *before = NULL;
    int moves = 0;
    for (size_t bytes = 16; bytes < 4 * HAK_MIB; bytes += bytes / 32 + 16) {
        before = block;
        block = hak_realloc(block, bytes);
        moves += block != before;
        block[bytes - 1] = 1;
    }
    CHECK(moves < 150); /* about one for each class on the way */
    hak_free(block);
}

static void a_block_that_shrinks_a_lot_gives_memory_back(void) {
    char *block = hak_malloc(60000), *small;
    small = hak_realloc(block, 100);
    CHECK(hak_malloc_usable_size(small) < 30000);
    hak_free(small);
}

static void errno_survives_malloc_and_free(void) {
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++)
        for (int k = 0; k<600; k += sizes[i]> 100000 ? 100 : 1) {
            static void *held[600];
            errno = 4242;
            held[k] = hak_malloc(sizes[i]);
            if (!CHECK_EQ(errno, 4242))
                return;
            if (k >= 500 || sizes[i] > 100000) {
                for (int f = 0; f < 600; f++)
                    hak_free(held[f]), held[f] = NULL;
                if (!CHECK_EQ(errno, 4242))
                    return;
            }
        }
    hak_free(NULL);
    CHECK_EQ(errno, 4242);
}

static void usable_size_of_nothing_is_nothing(void) {
    int on_stack;
    CHECK_EQ(hak_malloc_usable_size(NULL), 0);
    CHECK_EQ(hak_malloc_usable_size(&on_stack), 0);
}

/* ---- counts ------------------------------------------------------------------------------ */

static void live_blocks_are_counted_exactly_in_every_class(void) {
    enum { MANY = 700 };
    static void *blocks[MANY];
    for (unsigned c = 0; c < hak_classes.count; c++) {
        size_t size = hak_classes.size[c];
        if (hak_class_of(size) != c)
            continue;
        int64_t live = live_of(c);
        unsigned many = size > 100000 ? 20 : MANY;
        for (unsigned i = 0; i < many; i++)
            blocks[i] = hak_malloc(size);
        CHECK_EQ(live_of(c), live + many);
        for (unsigned i = 0; i < many; i++)
            hak_free(blocks[i]);
        CHECK_EQ(live_of(c), live);
    }
}

static void *free_all(void *blocks) {
    for (unsigned i = 0; i < 700; i++)
        hak_free(((void **)blocks)[i]);
    return NULL;
}

static void live_blocks_are_counted_exactly_when_others_free(void) {
    static void *blocks[700];
    static const size_t some[] = {8, 100, 1000, 2048, 5000, 30000};
    for (size_t s = 0; s < HAK_COUNT_OF(some); s++) {
        unsigned c = hak_class_of(some[s]);
        int64_t live = live_of(c);
        for (unsigned i = 0; i < 700; i++)
            blocks[i] = hak_malloc(some[s]);
        run_thread(free_all, blocks);
        CHECK_EQ(live_of(c), live);
    }
}

/* What the counts of classes above Tiny say while a thread comes there for the first times. */
static void *come_above_tiny(void *unused) {
    static const size_t some[] = {4096, 9000, 60000};
    void *blocks[30];
    unsigned shut = 0;
    for (unsigned i = 0; i < 30; i++) {
        unsigned c = hak_class_of(some[i % 3]);
        int64_t live = live_of(c);
        blocks[i] = hak_malloc(some[i % 3]);
        CHECK_EQ(live_of(c), live + 1);
        shut += hak_front.classes == hak_classes.tiny_count;
    }
    CHECK_BETWEEN(shut, 10, 20);
    CHECK_EQ(hak_front.classes, hak_classes.count);
    for (unsigned i = 0; i < 30; i++) {
        unsigned c = hak_class_of(some[i % 3]);
        int64_t live = live_of(c);
        hak_free(blocks[i]);
        CHECK_EQ(live_of(c), live - 1);
    }
    return unused;
}

static void *free_two(void *blocks) {
    hak_free(((void **)blocks)[0]);
    hak_free(((void **)blocks)[1]);
    CHECK_EQ(hak_front.classes, hak_classes.tiny_count);
    return NULL;
}

static void lists_above_tiny_open_after_a_few_calls(void) {
    void *blocks[2] = {hak_malloc(9000), hak_malloc(60000)};
    int64_t live = live_of(hak_class_of(9000));
    run_thread(free_two, blocks);
    CHECK_EQ(live_of(hak_class_of(9000)), live - 1);
    run_thread(come_above_tiny, NULL);
    CHECK_EQ(live_of(hak_class_of(9000)), live - 1);
}

static void a_shorter_list_by_a_live_knob_loses_no_block(void) {
    enum { MANY = 4000 };
    static void *blocks[MANY];
    unsigned c = hak_class_of(16);
    int64_t errors = COUNT(integrity_errors), live = live_of(c);
    SET_KNOB_AT(front_cap_class, c, 4096);
    for (unsigned i = 0; i < MANY; i++)
        blocks[i] = hak_malloc(16);
    for (unsigned i = 0; i < MANY; i++)
        hak_free(blocks[i]);
    SET_KNOB_AT(front_cap_class, c, 8);
    for (unsigned i = 0; i < 20000; i++)
        hak_free(hak_malloc(16));
    CHECK_EQ(COUNT(integrity_errors), errors);
    CHECK_EQ(live_of(c), live);
    SET_KNOB_AT(front_cap_class, c, 0);
}

static pthread_key_t last_words;

static void allocate_again(void *round) {
    void *block = hak_malloc(600);
    CHECK(block != NULL);
    hak_free(block);
    if ((uintptr_t)round < 4)
        pthread_setspecific(last_words, (char *)round + 1);
}

/* Two processes count into one block after a raw clone(): the list is longer than it seems. */
static void *miscount(void *live) {
    static void *blocks[20];
    unsigned c = hak_class_of(600);
    pthread_setspecific(last_words, (void *)1);
    for (int i = 0; i < 20; i++)
        blocks[i] = hak_malloc(600);
    *(int64_t *)live = live_of(c);
    for (int i = 0; i < 20; i++)
        hak_free(blocks[i]);
    hak_pair_base(hak_front.block, c, front_pops)[0] += 15;
    return NULL;
}

static void a_thread_that_has_miscounted_leaves_no_block_in_its_list(void) {
    int64_t live = 0, errors = COUNT(integrity_errors);
    unsigned c = hak_class_of(600);
    pthread_key_create(&last_words, allocate_again);
    int64_t active = CLASS_COUNT(c, active_slots);
    run_thread(miscount, &live);
    CHECK_EQ(live_of(c), live - 20 + 15);
    CHECK(CLASS_COUNT(c, active_slots) <= active);
    CHECK_EQ(COUNT(integrity_errors), errors);
    pthread_key_delete(last_words);
}

/* Blocks of one size, all live at once, then none. */
static void fill_and_empty(size_t size, size_t count) {
    void **blocks = hak_calloc(count, sizeof *blocks);
    for (size_t i = 0; i < count; i++)
        blocks[i] = hak_malloc(size);
    for (size_t i = 0; i < count; i++)
        hak_free(blocks[i]);
    hak_free(blocks);
}

static void lists_of_a_size_that_is_over_go_back_when_another_is_wanted(void) {
    unsigned over = hak_class_of(9000), used = hak_class_of(20000);
    fill_and_empty(9000, 1000);
    CHECK(hak_front.head[over] != NULL);
    for (int i = 0; i < 3; i++)
        fill_and_empty(12000, 2000);
    CHECK(hak_front.head[over] == NULL);
    void *in_use = hak_malloc(20000), *spare = hak_malloc(20000);
    hak_free(spare);
    for (int i = 0; i < 2000; i++) {
        void *kept = hak_malloc(24000 + (size_t)(i % 3) * 4000);
        hak_free(hak_malloc(20000)); /* popped and pushed all the time */
        CHECK(hak_front.head[used] != NULL);
        hak_free(kept);
    }
    hak_free(in_use);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(every_size_is_served_aligned_and_usable);
    RUN(two_live_blocks_of_size_zero_differ);
    RUN(calloc_gives_zeros_also_in_used_memory);
    RUN(products_that_overflow_are_enomem);
    RUN(impossible_sizes_are_enomem_in_every_function);
    RUN(every_alignment_is_kept_for_every_size);
    RUN(bad_alignments_are_einval);
    RUN(pages_are_asked_for_by_valloc_and_pvalloc);
    RUN(a_block_that_creeps_up_is_moved_once_in_a_doubling);
    RUN(a_block_that_grows_at_a_jump_gets_no_more_than_its_class);
    RUN(realloc_keeps_the_contents_between_all_tiers);
    RUN(a_growing_block_is_moved_seldom);
    RUN(a_block_that_shrinks_a_lot_gives_memory_back);
    RUN(errno_survives_malloc_and_free);
    RUN(usable_size_of_nothing_is_nothing);
    RUN(live_blocks_are_counted_exactly_in_every_class);
    RUN(live_blocks_are_counted_exactly_when_others_free);
    RUN(lists_above_tiny_open_after_a_few_calls);
    RUN(a_shorter_list_by_a_live_knob_loses_no_block);
    RUN(a_thread_that_has_miscounted_leaves_no_block_in_its_list);
    RUN(lists_of_a_size_that_is_over_go_back_when_another_is_wanted);
    return check_report();
}
