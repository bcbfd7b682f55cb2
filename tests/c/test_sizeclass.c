/* slab/sizeclass: size to class by table, both geometries. */
#include "slab/sizeclass.h"

#include "hak.h"

static struct hak_classes fine, pow2;

static void build(void) {
    hak_classes_build(&fine, HAK_GEOMETRY_FINE, HAK_MIB);
    hak_classes_build(&pow2, HAK_GEOMETRY_POW2, HAK_MIB);
}

/* hak_class_of() reads the process's own tables: the same look-up in another set of tables. */
static unsigned class_in(const struct hak_classes *classes, size_t bytes) {
    if (bytes <= HAK_SMALL_MAX_BYTES)
        return classes->small[(bytes + 7) >> 3];
    return bytes <= HAK_LARGE_MAX_BYTES ? classes->by_kib[(bytes + 1023) >> 10] : HAK_CLASS_NONE;
}

static void check_smallest_class(const struct hak_classes *classes) {
    for (size_t bytes = 0; bytes < HAK_MIB - 1024; bytes += bytes < 8192 ? 1 : 509) {
        unsigned c = class_in(classes, bytes);
        if (!CHECK(c < classes->count) || !CHECK(classes->size[c] >= bytes))
            return;
        /* above 4 KiB the table has steps of 1 KiB: classes below the step do not fit all of it */
        size_t step = bytes <= HAK_SMALL_MAX_BYTES ? bytes : (bytes + 1023) & ~(size_t)1023;
        if (c != 0 && !CHECK(classes->size[c - 1] < step))
            return;
    }
}

static void every_size_gets_the_smallest_class_that_holds_it(void) {
    check_smallest_class(&fine);
    check_smallest_class(&pow2);
}

static void classes_grow_and_fit_the_counters(void) {
    const struct hak_classes *both[] = {&fine, &pow2};
    for (int g = 0; g < 2; g++) {
        CHECK(both[g]->count < HAK_CLASS_NONE);
        CHECK(both[g]->tiny_count <= 32);
        for (unsigned c = 1; c < both[g]->regular_count; c++)
            CHECK(both[g]->size[c] > both[g]->size[c - 1]);
    }
}

static void the_classes_of_aligned_requests_are_powers_of_two_that_no_size_leads_to(void) {
    const struct hak_classes *both[] = {&fine, &pow2};
    for (int g = 0; g < 2; g++) {
        CHECK(both[g]->regular_count < both[g]->dynamic_mid);
        for (unsigned c = both[g]->regular_count; c < both[g]->dynamic_mid; c++)
            CHECK(hak_is_pow2(both[g]->size[c]));
        for (size_t bytes = 0; bytes <= HAK_MIB - 1024; bytes += 8)
            if (!CHECK(class_in(both[g], bytes) < both[g]->regular_count))
                return;
    }
}

static void the_powers_of_two_are_the_eight_of_the_specification(void) {
    static const uint32_t sizes[] = {8, 16, 32, 64, 128, 256, 512, 2048};
    CHECK_EQ(pow2.tiny_count, 8);
    for (unsigned c = 0; c < 8; c++)
        CHECK_EQ(pow2.size[c], sizes[c]);
    CHECK_EQ(class_in(&pow2, 513), 7);
    CHECK_EQ(class_in(&pow2, 1040), 7);
}

static void tiny_reaches_a_stride_of_2048_in_both_geometries(void) {
    CHECK_EQ(fine.size[fine.tiny_count - 1], HAK_TINY_MAX_BYTES);
    CHECK_EQ(pow2.size[pow2.tiny_count - 1], HAK_TINY_MAX_BYTES);
}

static void fine_has_at_least_four_classes_to_a_doubling(void) {
    for (size_t from = 64; from < HAK_MIB; from *= 2) {
        unsigned within = 0;
        for (unsigned c = 0; c < fine.count; c++)
            within += fine.size[c] > from && fine.size[c] <= 2 * from;
        CHECK(within >= 4);
    }
}

static void fine_wastes_an_eighth_at_most_on_average(void) {
    for (size_t from = 64; from < HAK_MIB; from *= 2) {
        double asked = 0, given = 0;
        for (size_t bytes = from + 1; bytes <= 2 * from && bytes < HAK_MIB; bytes++) {
            asked += (double)bytes;
            given += fine.size[class_in(&fine, bytes)];
        }
        CHECK_BETWEEN((given - asked) / given, 0, 0.125);
    }
}

static void every_block_above_eight_bytes_is_aligned_for_any_type(void) {
    for (unsigned c = 1; c < fine.count; c++)
        CHECK_EQ(fine.size[c] % 16, 0);
    for (unsigned c = 1; c < pow2.count; c++)
        CHECK_EQ(pow2.size[c] % 16, 0);
    CHECK_EQ(class_in(&fine, 9), 1);
    CHECK_EQ(fine.size[1], 16);
}

static void nothing_at_or_above_the_threshold_has_a_class(void) {
    static const size_t thresholds[] = {64, 128, 256, 512, 1024, 2048};
    for (size_t i = 0; i < HAK_COUNT_OF(thresholds); i++) {
        struct hak_classes classes;
        size_t threshold = thresholds[i] * HAK_KIB;
        hak_classes_build(&classes, HAK_GEOMETRY_FINE, threshold);
        CHECK_EQ(class_in(&classes, threshold), HAK_CLASS_NONE);
        CHECK_EQ(class_in(&classes, threshold + 1), HAK_CLASS_NONE);
        CHECK(class_in(&classes, threshold - 1024) < classes.count);
        CHECK(class_in(&classes, 1) < classes.tiny_count);
    }
}

static void a_size_beyond_all_tables_has_no_class(void) {
    static const size_t sizes[] = {HAK_LARGE_MAX_BYTES + 1, PTRDIFF_MAX, SIZE_MAX - 7, SIZE_MAX};
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++)
        CHECK_EQ(hak_class_of(sizes[i]), HAK_CLASS_NONE);
}

static void the_running_library_has_the_fine_classes(void) {
    CHECK_EQ(memcmp(&hak_classes, &fine, sizeof fine), 0);
}

static void the_division_by_multiplication_is_exact(void) {
    for (unsigned c = 0; c < hak_classes.tiny_count; c++)
        for (uint32_t offset = 0; offset < HAK_UNIT_BYTES; offset++) {
            int divides = offset % hak_classes.size[c] == 0;
            if (hak_class_divides(c, offset) != divides) {
                CHECK_EQ(hak_class_divides(c, offset), divides);
                fprintf(stderr, "  class %u, offset %u\n", c, offset);
                return;
            }
        }
}

static void the_extra_mid_class_serves_what_lies_above_the_next_smaller_one(void) {
    struct hak_classes classes = pow2;
    unsigned class = classes.dynamic_mid;
    CHECK(class_in(&classes, 10000) != class);
    CHECK_EQ(hak_classes_set_dynamic(&classes, 14000), 1);
    CHECK_EQ(classes.size[class], 14 * 1024);
    CHECK_EQ(class_in(&classes, 8193), class);
    CHECK_EQ(class_in(&classes, 14 * 1024), class);
    CHECK(class_in(&classes, 8192) != class);
    CHECK(class_in(&classes, 14 * 1024 + 1) != class);
    CHECK_EQ(hak_classes_set_dynamic(&classes, 12000), 0); /* blocks of 14 KiB are out */
    CHECK_EQ(class_in(&classes, 9000), class);
    CHECK_EQ(hak_classes_set_dynamic(&classes, 0), 1);
    CHECK(class_in(&classes, 10000) != class);
    CHECK_EQ(hak_classes_set_dynamic(&classes, 14 * 1024), 1);
    CHECK_EQ(class_in(&classes, 10000), class);
}

static void the_extra_mid_class_is_no_other_tiers(void) {
    struct hak_classes classes = fine;
    CHECK_EQ(hak_classes_set_dynamic(&classes, 2048), 0);
    CHECK_EQ(hak_classes_set_dynamic(&classes, 33 * 1024), 0);
    CHECK_EQ(hak_classes_set_dynamic(&classes, 3000), 1);
    CHECK_EQ(class_in(&classes, 3000), classes.dynamic_mid);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    build();
    RUN(every_size_gets_the_smallest_class_that_holds_it);
    RUN(classes_grow_and_fit_the_counters);
    RUN(the_classes_of_aligned_requests_are_powers_of_two_that_no_size_leads_to);
    RUN(the_powers_of_two_are_the_eight_of_the_specification);
    RUN(tiny_reaches_a_stride_of_2048_in_both_geometries);
    RUN(fine_has_at_least_four_classes_to_a_doubling);
    RUN(fine_wastes_an_eighth_at_most_on_average);
    RUN(every_block_above_eight_bytes_is_aligned_for_any_type);
    RUN(nothing_at_or_above_the_threshold_has_a_class);
    RUN(a_size_beyond_all_tables_has_no_class);
    RUN(the_running_library_has_the_fine_classes);
    RUN(the_division_by_multiplication_is_exact);
    RUN(the_extra_mid_class_serves_what_lies_above_the_next_smaller_one);
    RUN(the_extra_mid_class_is_no_other_tiers);
    return check_report();
}
