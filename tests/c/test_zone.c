/* os/zone: ranges of units, their tables, and what happens when the system refuses. */
#include "os/zone.h"

#include <sys/mman.h>
#include <unistd.h>

#include "hak.h"

/* A range that cannot be handed out by accident: released, and its neighbours are not joined. */
static int is_mapped(size_t unit) {
    unsigned char resident[16];
    return mincore(hak_unit_address(unit), HAK_UNIT_BYTES, resident) == 0;
}

static void units_are_64_kib_at_multiples_of_64_kib(void) {
    size_t unit = hak_zone_take(1, 1);
    char *address = hak_unit_address(unit);
    CHECK(unit != HAK_NO_UNIT);
    CHECK_EQ((uintptr_t)address % HAK_UNIT_BYTES, 0);
    CHECK_EQ(hak_unit_of(address), unit);
    CHECK_EQ(hak_unit_of(address + HAK_UNIT_BYTES - 1), unit);
    CHECK_EQ(hak_unit_of(address + HAK_UNIT_BYTES), unit + 1);
    CHECK_EQ(hak_zone.map[unit], 0);
    memset(address, 0xee, HAK_UNIT_BYTES);
    hak_zone_give(unit, 1);
}

static void addresses_outside_the_zone_have_no_unit(void) {
    int on_stack;
    CHECK(hak_unit_of(NULL) >= hak_zone.units);
    CHECK(hak_unit_of(&on_stack) >= hak_zone.units);
    CHECK(hak_unit_of((void *)(hak_zone.base - 1)) >= hak_zone.units);
    CHECK(hak_unit_of((void *)(hak_zone.base + (hak_zone.units << HAK_UNIT_LG))) >= hak_zone.units);
    CHECK(hak_unit_of((void *)UINTPTR_MAX) >= hak_zone.units);
}

static void a_range_lies_where_its_alignment_asks(void) {
    static const size_t shapes[][2] = {{1, 1}, {8, 8}, {32, 32}, {64, 64}, {3, 1}, {5, 4}, {2, 16}};
    for (size_t i = 0; i < HAK_COUNT_OF(shapes); i++) {
        size_t unit = hak_zone_take(shapes[i][0], shapes[i][1]);
        CHECK(unit != HAK_NO_UNIT);
        CHECK_EQ(unit % shapes[i][1], 0);
        hak_zone_give(unit, shapes[i][0]);
    }
}

static void ranges_never_overlap(void) {
    enum { MANY = 300 };
    size_t unit[MANY], units[MANY];
    struct check_rng rng = check_rng_seed(3);
    for (int i = 0; i < MANY; i++) {
        units[i] = check_rng_between(&rng, 1, 40);
        unit[i] = hak_zone_take(units[i], 1);
        for (int k = 0; k < i; k++)
            CHECK(unit[i] + units[i] <= unit[k] || unit[k] + units[k] <= unit[i]);
    }
    for (int i = 0; i < MANY; i++)
        hak_zone_give(unit[i], units[i]);
}

static void a_range_given_back_is_unmapped_and_handed_out_again_as_zeros(void) {
    size_t unit = hak_zone_take(32, 32);
    memset(hak_unit_address(unit), 0xaa, 32 * HAK_UNIT_BYTES);
    hak_zone_give(unit, 32);
    CHECK(!is_mapped(unit));
    size_t again = hak_zone_take(32, 32);
    CHECK_EQ(again, unit);
    for (size_t i = 0; i < 32 * HAK_UNIT_BYTES; i += 4096)
        CHECK_EQ(hak_unit_address(again)[i], 0);
    hak_zone_give(again, 32);
}

static void a_mapping_of_somebody_else_in_the_zone_is_stepped_over(void) {
    size_t first = hak_zone_take(3, 1);
    char *foreign = mmap(hak_unit_address(first + 3), HAK_UNIT_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(foreign == hak_unit_address(first + 3));
    foreign[0] = 77;
    size_t next = hak_zone_take(3, 1);
    CHECK(next != HAK_NO_UNIT);
    CHECK(next > first + 3);
    CHECK_EQ(foreign[0], 77);
    munmap(foreign, HAK_UNIT_BYTES);
    hak_zone_give(first, 3);
    hak_zone_give(next, 3);
}

static void a_refused_mapping_is_enomem_and_the_next_one_works(void) {
    arm_faults(FAULT_MAP, 1, 1000);
    errno = 0;
    CHECK_EQ(hak_zone_take(1, 1), HAK_NO_UNIT);
    CHECK_EQ(errno, ENOMEM);
    errno = 0;
    CHECK_EQ(hak_zone_take(7, 1), HAK_NO_UNIT);
    CHECK_EQ(errno, ENOMEM);
    disarm_faults();
    size_t unit = hak_zone_take(7, 1);
    CHECK(unit != HAK_NO_UNIT);
    hak_zone_give(unit, 7);
}

static void a_refused_commit_of_the_tables_is_enomem_and_can_be_repeated(void) {
    size_t far = hak_zone_take(20000, 1); /* leads past the words that are committed so far */
    CHECK(far != HAK_NO_UNIT);
    for (long k = 1; k <= 3; k++) {
        arm_faults(FAULT_COMMIT, k, 1000);
        errno = 0;
        CHECK_EQ(hak_zone_take(20000, 1), HAK_NO_UNIT);
        CHECK_EQ(errno, ENOMEM);
        CHECK(disarm_faults() > 0);
    }
    size_t unit = hak_zone_take(20000, 1);
    CHECK(unit != HAK_NO_UNIT);
    hak_zone.map[unit + 19999] = 5;
    hak_zone.map[unit + 19999] = 0;
    hak_zone_give(far, 20000);
    hak_zone_give(unit, 20000);
}

/* munmap fails when the process has too many mappings. */
static void ranges_that_could_not_be_unmapped_do_not_stand_in_the_way(void) {
    size_t stuck = hak_zone_take(8, 8), good = hak_zone_take(8, 8);
    hak_zone_give(good, 8);
    arm_faults(FAULT_UNMAP, 1, 1);
    hak_zone_give(stuck, 8);
    CHECK_EQ(disarm_faults(), 1);
    CHECK_EQ(hak_zone_take(8, 8), good);
    for (int i = 0; i < 3; i++) {
        size_t unit = hak_zone_take(8, 8);
        CHECK(unit != HAK_NO_UNIT);
        hak_zone_give(unit, 8);
        CHECK_EQ(hak_zone_take(8, 8), unit); /* reuse works */
    }
}

static void address_space_does_not_run_out_by_being_reused(void) {
    size_t highest = 0, lowest = SIZE_MAX;
    for (int i = 0; i < 5000; i++) {
        size_t unit = hak_zone_take(4, 4);
        highest = hak_max(highest, unit);
        lowest = hak_min(lowest, unit);
        hak_zone_give(unit, 4);
    }
    CHECK_EQ(highest, lowest);
}

static void *take_and_give(void *seed) {
    struct check_rng rng = check_rng_seed(*(uint64_t *)seed);
    size_t held[16], bad = 0;
    for (int round = 0; round < 300; round++) {
        size_t units = (size_t)1 << check_rng_between(&rng, 0, 3), n = 0;
        for (; n < 16; n++) {
            held[n] = hak_zone_take(units, units);
            *(volatile uint64_t *)hak_unit_address(held[n]) += *(uint64_t *)seed;
        }
        for (size_t i = 0; i < n; i++) {
            bad += *(volatile uint64_t *)hak_unit_address(held[i]) != *(uint64_t *)seed;
            hak_zone_give(held[i], units);
        }
    }
    return (void *)bad;
}

static void threads_never_get_the_same_range(void) {
    uint64_t seeds[4] = {1, 2, 3, 4};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_and_give, &seeds[i]);
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        CHECK_EQ((size_t)bad, 0);
    }
}

static void a_full_zone_is_enospc(void) {
    errno = 0;
    CHECK_EQ(hak_zone_take(hak_zone.units, 1), HAK_NO_UNIT);
    CHECK_EQ(errno, ENOSPC);
    size_t unit = hak_zone_take(1, 1);
    CHECK(unit != HAK_NO_UNIT);
    hak_zone_give(unit, 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(units_are_64_kib_at_multiples_of_64_kib);
    RUN(addresses_outside_the_zone_have_no_unit);
    RUN(a_range_lies_where_its_alignment_asks);
    RUN(ranges_never_overlap);
    RUN(a_range_given_back_is_unmapped_and_handed_out_again_as_zeros);
    RUN(a_mapping_of_somebody_else_in_the_zone_is_stepped_over);
    RUN(a_refused_mapping_is_enomem_and_the_next_one_works);
    RUN(a_refused_commit_of_the_tables_is_enomem_and_can_be_repeated);
    RUN(ranges_that_could_not_be_unmapped_do_not_stand_in_the_way);
    RUN(address_space_does_not_run_out_by_being_reused);
    RUN(threads_never_get_the_same_range);
    RUN(a_full_zone_is_enospc);
    return check_report();
}
