/* mid/span: runs of units, joined again when they come back. */
#include "mid/span.h"

#include "hak.h"

static size_t take(size_t units) {
    int zeroed;
    return hak_span_take(units, &zeroed);
}

static void spans_never_overlap_and_neighbours_join_again(void) {
    enum { MANY = 2000 };
    static size_t unit[MANY], units[MANY];
    static uint8_t used[1 << 20];
    struct check_rng rng = check_rng_seed(21);
    size_t held = 0;
    for (unsigned step = 0; step < 20000; step++) {
        size_t i = check_rng_between(&rng, 0, MANY - 1);
        if (units[i] != 0) {
            memset(used + unit[i], 0, units[i]);
            hak_span_give(unit[i], units[i]);
            held -= units[i];
            units[i] = 0;
            continue;
        }
        units[i] = check_rng_between(&rng, 1, check_rng_between(&rng, 1, HAK_SPAN_MOST_UNITS));
        unit[i] = take(units[i]);
        if (!CHECK(unit[i] != HAK_NO_UNIT) || !CHECK(unit[i] + units[i] < sizeof used))
            return;
        for (size_t u = unit[i]; u < unit[i] + units[i]; u++)
            if (!CHECK_EQ(used[u]++, 0))
                return;
        held += units[i];
    }
    for (size_t i = 0; i < MANY; i++)
        if (units[i] != 0)
            hak_span_give(unit[i], units[i]);
    CHECK(held > 0);
    int64_t bytes = COUNT(mapped_bytes);
    size_t whole = take(HAK_SPAN_MOST_UNITS); /* only a chunk that joined completely serves it */
    CHECK_EQ(COUNT(mapped_bytes), bytes);
    hak_span_give(whole, HAK_SPAN_MOST_UNITS);
}

static void a_span_may_be_written_to_its_end(void) {
    static const size_t sizes[] = {1, 2, 7, 8, 63, 64};
    for (size_t i = 0; i < HAK_COUNT_OF(sizes); i++) {
        size_t unit = take(sizes[i]);
        memset(hak_unit_address(unit), 0x77, sizes[i] << HAK_UNIT_LG);
        hak_span_give(unit, sizes[i]);
    }
}

static void memory_said_to_be_zero_is_zero(void) {
    struct check_rng rng = check_rng_seed(9);
    for (int i = 0; i < 300; i++) {
        int zeroed;
        size_t units = check_rng_between(&rng, 1, 12), unit = hak_span_take(units, &zeroed);
        uint64_t *words = (uint64_t *)hak_unit_address(unit);
        uint64_t sum = 0;
        for (size_t w = 0; zeroed && w < units * HAK_UNIT_BYTES / 8; w += 64)
            sum |= words[w];
        CHECK_EQ(sum, 0);
        memset(words, 0xff, units << HAK_UNIT_LG);
        if (i % 3 != 0)
            hak_span_give(unit, units);
        if (i % 50 == 49)
            hak_span_purge();
    }
}

static void what_stays_free_is_given_back_by_the_purge_and_reads_as_zeros(void) {
    size_t unit = take(4);
    memset(hak_unit_address(unit), 0xcc, 4 << HAK_UNIT_LG);
    hak_span_give(unit, 4);
    hak_span_purge();
    hak_span_purge();
    CHECK_EQ(hak_span_purge(), 0); /* nothing is dirty any more */
    int zeroed;
    size_t again = hak_span_take(4, &zeroed);
    CHECK_EQ(hak_unit_address(again)[4096], 0);
    hak_span_give(again, 4);
}

static void what_the_os_does_not_take_back_is_not_said_to_be_zero(void) {
    int zeroed;
    size_t unit = take(3);
    memset(hak_unit_address(unit), 0x5a, 3 << HAK_UNIT_LG);
    hak_span_give(unit, 3);
    arm_faults(FAULT_ADVISE, 1, 100000); /* as for locked memory */
    CHECK_EQ(hak_span_purge() + hak_span_purge(), 0);
    disarm_faults();
    CHECK_EQ(hak_span_take(3, &zeroed), unit);
    CHECK_EQ(zeroed, 0);
    hak_span_give(unit, 3);
}

static void a_refused_chunk_is_enomem_and_the_next_one_works(void) {
    static size_t held[8192];
    size_t count = 0;
    int64_t bytes = COUNT(mapped_bytes);
    while (count < 8192 && COUNT(mapped_bytes) == bytes) /* no whole chunk is left */
        held[count++] = take(64);
    arm_faults(FAULT_MAP, 1, 1000);
    errno = 0;
    CHECK_EQ(take(64), HAK_NO_UNIT);
    CHECK_EQ(errno, ENOMEM);
    disarm_faults();
    size_t unit = take(64);
    CHECK(unit != HAK_NO_UNIT);
    hak_span_give(unit, 64);
    for (size_t i = 0; i < count; i++)
        hak_span_give(held[i], 64);
}

static void *churn(void *seed) {
    struct check_rng rng = check_rng_seed(*(uint64_t *)seed);
    size_t unit[32], units[32] = {0}, bad = 0;
    for (unsigned step = 0; step < rounds_of(4000); step++) {
        size_t i = check_rng_between(&rng, 0, 31);
        if (units[i] == 0) {
            units[i] = check_rng_between(&rng, 1, 9);
            unit[i] = take(units[i]);
            for (size_t u = 0; u < units[i]; u++)
                *(uint64_t *)hak_unit_address(unit[i] + u) = *(uint64_t *)seed;
            continue;
        }
        for (size_t u = 0; u < units[i]; u++)
            bad += *(uint64_t *)hak_unit_address(unit[i] + u) != *(uint64_t *)seed;
        hak_span_give(unit[i], units[i]);
        units[i] = 0;
    }
    for (int i = 0; i < 32; i++)
        if (units[i] != 0)
            hak_span_give(unit[i], units[i]);
    *(uint64_t *)seed = bad;
    return NULL;
}

static void threads_never_get_the_same_span(void) {
    uint64_t seeds[4] = {101, 102, 103, 104};
    run_threads(4, churn, seeds, sizeof *seeds);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(seeds[i], 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(spans_never_overlap_and_neighbours_join_again);
    RUN(a_span_may_be_written_to_its_end);
    RUN(memory_said_to_be_zero_is_zero);
    RUN(what_stays_free_is_given_back_by_the_purge_and_reads_as_zeros);
    RUN(what_the_os_does_not_take_back_is_not_said_to_be_zero);
    RUN(a_refused_chunk_is_enomem_and_the_next_one_works);
    RUN(threads_never_get_the_same_span);
    return check_report();
}
