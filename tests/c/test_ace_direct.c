/* mid/ace: direct blocks, which are spans of their own, and Big ones without an mmap path. */
#include "mid/ace.h"

#include "hak.h"
#include "os/zone.h"

BOOT(unsampled, "HAKMEM_SAMPLE_BYTES=0") /* a sample lies elsewhere, and does not grow in place */

static void direct_blocks_are_spans_of_their_own(void) {
    for (unsigned class = 0; class < hak_classes.count; class ++) {
        if (class < hak_classes.tiny_count || !hak_ace_is_direct(class) ||
            hak_class_of(hak_classes.size[class]) != class)
            continue;
        int zeroed;
        size_t size = hak_classes.size[class];
        char *a = hak_ace_direct_alloc(class, 0, &zeroed);
        char *b = hak_ace_direct_alloc(class, 0, &zeroed);
        CHECK(a != NULL && b != NULL && (a + size <= b || b + size <= a));
        memset(a, 1, size);
        memset(b, 2, size);
        CHECK_EQ(a[size - 1], 1);
        CHECK_EQ(hak_zone.map[hak_unit_of(a)], hak_unit_word(HAK_TAG_DIRECT, class));
        int64_t bytes = CLASS_COUNT(class, mapped_class_bytes);
        hak_ace_direct_free(hak_unit_of(a), class, 0);
        hak_ace_direct_free(hak_unit_of(b), class, 0);
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
    while (count < 200 && (held[count] = hak_ace_direct_alloc(class, 0, &zeroed)) != NULL)
        count++;
    CHECK(count < 200);
    CHECK_EQ(errno, ENOMEM);
    disarm_faults();
    CHECK((held[count] = hak_ace_direct_alloc(class, 0, &zeroed)) != NULL);
    for (int i = 0; i <= count; i++)
        hak_ace_direct_free(hak_unit_of(held[i]), class, 0);
}

static void a_thread_keeps_a_direct_block_of_a_class_for_its_next_call(void) {
    int zeroed;
    hak_ace_direct_give_kept(); /* other tests' */
    unsigned class = hak_class_of(700 * 1024);
    void *a = hak_ace_direct_alloc(class, 1, &zeroed), *b = hak_ace_direct_alloc(class, 1, &zeroed);
    int64_t bytes = CLASS_COUNT(class, mapped_class_bytes);
    hak_ace_direct_free(hak_unit_of(a), class, 1);
    CHECK_EQ(hak_zone.map[hak_unit_of(a)], 0); /* a second free of it finds nobody's address */
    CHECK_EQ(CLASS_COUNT(class, mapped_class_bytes), bytes);
    CHECK(hak_ace_direct_alloc(class, 0, &zeroed) != a);
    CHECK(hak_ace_direct_alloc(class, 1, &zeroed) == a);
    CHECK(!zeroed);
    hak_ace_direct_free(hak_unit_of(a), class, 1);
    hak_ace_direct_free(hak_unit_of(b), class, 1);
    CHECK_EQ(hak_ace_direct_give_kept(), hak_classes.size[class]);
    CHECK_EQ(hak_ace_direct_give_kept(), 0);
}

static void a_thread_keeps_so_many_bytes_of_direct_blocks_and_no_more(void) {
    int zeroed;
    size_t held = 0;
    void *blocks[HAK_CLASS_CAPACITY];
    for (unsigned class = 0; class < hak_classes.regular_count; class ++)
        if (class >= hak_classes.tiny_count && hak_ace_is_direct(class)) {
            blocks[class] = hak_ace_direct_alloc(class, 1, &zeroed);
            held += hak_classes.size[class];
        }
    for (unsigned class = 0; class < hak_classes.regular_count; class ++)
        if (class >= hak_classes.tiny_count && hak_ace_is_direct(class))
            hak_ace_direct_free(hak_unit_of(blocks[class]), class, 1);
    size_t kept = hak_ace_direct_give_kept();
    CHECK(held > 4 * HAK_MIB);
    CHECK_BETWEEN(kept, 3 * HAK_MIB, 4 * HAK_MIB);
}

static void a_direct_block_grows_and_shrinks_where_it_lies(void) {
    SET_KNOB(sample_bytes, 0); /* a sampled block moves */
    char *block = hak_malloc(300 * 1024);
    block[300 * 1024 - 1] = 7;
    char *grown = hak_realloc(block, 700 * 1024);
    CHECK(grown == block && grown[300 * 1024 - 1] == 7);
    CHECK(hak_malloc_usable_size(grown) >= 700 * 1024);
    void *behind = hak_malloc(300 * 1024);
    char *moved = hak_realloc(grown, 1000 * 1024);
    CHECK(moved != NULL && moved[300 * 1024 - 1] == 7);
    char *shrunk = hak_realloc(moved, 300 * 1024);
    CHECK(shrunk == moved);
    hak_free(shrunk);
    hak_free(behind);
    SET_KNOB(sample_bytes, 524288);
}

static void without_an_mmap_path_big_blocks_come_from_the_zone(void) {
    static const size_t sizes[] = {2000000, 4194304, 9000000};
    int64_t maps = COUNT(big_maps);
    SET_KNOB(large_mmap, 0);
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++) {
        char *block = hak_malloc(sizes[i]), *aligned = hak_aligned_alloc(1 << 20, sizes[i]);
        CHECK(hak_unit_of(block) < hak_zone.units && hak_unit_of(aligned) < hak_zone.units);
        CHECK_EQ((uintptr_t)aligned % (1 << 20), 0);
        block[0] = block[sizes[i] - 1] = aligned[sizes[i] - 1] = 3;
        block = hak_realloc(block, sizes[i] * 2);
        CHECK_EQ(block[sizes[i] - 1], 3);
        hak_free(block);
        hak_free(aligned);
    }
    CHECK_EQ(COUNT(big_maps), maps);
    SET_KNOB(large_mmap, 1);
}

static void without_an_mmap_path_ranges_are_used_again_and_aligned(void) {
    SET_KNOB(large_mmap, 0);
    void *first = hak_malloc(5000000);
    hak_free(first);
    for (int i = 0; i < 100; i++) {
        void *again = hak_malloc(5000000);
        CHECK(again == first);
        hak_free(again);
    }
    for (size_t align = 1 << 20; align <= (size_t)64 << 20; align *= 2) {
        void *block = hak_aligned_alloc(align, 100000);
        CHECK_EQ((uintptr_t)block % align, 0);
        hak_free(block);
    }
    SET_KNOB(large_mmap, 1);
}

static void a_span_that_changes_its_class_in_place_keeps_the_counts_even(void) {
    unsigned from = hak_class_of(300 * 1024), to = hak_class_of(900 * 1024);
    int64_t live_from = live_of(from), live_to = live_of(to);
    void *block = hak_malloc(300 * 1024);
    CHECK_EQ(live_of(from), live_from + 1);
    block = hak_realloc(block, 900 * 1024);
    CHECK_EQ(live_of(from), live_from);
    CHECK_EQ(live_of(to), live_to + 1);
    hak_free(block);
    CHECK_EQ(live_of(to), live_to);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(direct_blocks_are_spans_of_their_own);
    RUN(a_refused_direct_block_is_enomem);
    RUN(a_thread_keeps_a_direct_block_of_a_class_for_its_next_call);
    RUN(a_thread_keeps_so_many_bytes_of_direct_blocks_and_no_more);
    RUN(a_direct_block_grows_and_shrinks_where_it_lies);
    RUN(without_an_mmap_path_big_blocks_come_from_the_zone);
    RUN(without_an_mmap_path_ranges_are_used_again_and_aligned);
    RUN(a_span_that_changes_its_class_in_place_keeps_the_counts_even);
    return check_report();
}
