/* mid/sparse: free spans that are hardly touched wait for their own class. */
#include "mid/sparse.h"

#include "hak.h"
#include "mid/span.h"

enum { PLACE = 3, OTHER = 5, UNITS = 10, MANY = 12 };

static size_t spans[MANY];

static size_t take(unsigned place) {
    int zeroed;
    return hak_sparse_take(place, UNITS, &zeroed);
}

static void touch_ends(size_t unit) {
    char *start = hak_unit_address(unit);
    start[0] = 1;
    start[(UNITS << HAK_UNIT_LG) - 1] = 2;
}

static void touch_all(size_t unit) {
    memset(hak_unit_address(unit), 3, UNITS << HAK_UNIT_LG);
}

static void purge(void) {
    hak_span_purge();
    hak_span_purge();
}

/* A fresh place each time: what a class is like is remembered. Only spans without pages tell. */
static void use(unsigned place, void touch(size_t unit)) {
    purge();
    for (int i = 0; i < MANY; i++)
        touch(spans[i] = take(place));
    for (int i = 0; i < MANY; i++)
        hak_sparse_give(place, spans[i], UNITS);
}

static int is_one_of_the_spans(size_t unit) {
    int found = 0;
    for (int i = 0; i < MANY; i++)
        found |= spans[i] == unit;
    return found;
}

static void hardly_touched_spans_wait_for_their_class(void) {
    use(PLACE, touch_ends);
    CHECK_EQ(COUNT(sparse_bytes), MANY * UNITS << HAK_UNIT_LG);
    size_t other = take(OTHER), again = take(PLACE);
    CHECK(!is_one_of_the_spans(other));
    CHECK(is_one_of_the_spans(again));
    CHECK_EQ(hak_unit_address(again)[0], 1); /* as they were left */
    hak_sparse_give(PLACE, again, UNITS);
    hak_sparse_give(OTHER, other, UNITS);
    CHECK(hak_sparse_give_all() >= MANY * UNITS << HAK_UNIT_LG);
    CHECK_EQ(COUNT(sparse_bytes), 0);
}

static void spans_that_are_used_are_shared_by_all(void) {
    use(1, touch_all);
    CHECK_EQ(COUNT(sparse_bytes), 0);
    size_t other = take(2);
    CHECK(is_one_of_the_spans(other));
    hak_sparse_give(2, other, UNITS);
}

/* Else a sparse class would be taken for one that is used, by what others have left. */
static void a_sparse_class_gets_spans_without_pages(void) {
    int zeroed;
    size_t dirty[MANY];
    use(4, touch_ends);
    hak_sparse_give_all();
    for (int i = 0; i < MANY; i++)
        touch_all(dirty[i] = hak_span_take(UNITS, &zeroed));
    for (int i = 0; i < MANY; i++)
        hak_span_give(dirty[i], UNITS);
    size_t unit = hak_sparse_take(4, UNITS, &zeroed);
    CHECK_EQ(zeroed, 1);
    CHECK_EQ(hak_unit_address(unit)[100], 0);
    hak_sparse_give(4, unit, UNITS);
    hak_sparse_give_all();
}

static void a_refusal_to_take_pages_back_is_no_zeroed_span(void) {
    int zeroed;
    use(6, touch_ends);
    hak_sparse_give_all();
    size_t dirty = hak_span_take(HAK_SPAN_MOST_UNITS, &zeroed);
    memset(hak_unit_address(dirty), 9, HAK_SPAN_MOST_UNITS << HAK_UNIT_LG);
    hak_span_give(dirty, HAK_SPAN_MOST_UNITS);
    arm_faults(FAULT_ADVISE, 1, 1000); /* as for locked memory */
    size_t held[HAK_SPAN_MOST_UNITS], count = 0, wrong = 0;
    do {
        held[count] = hak_sparse_take(6, UNITS, &zeroed);
        wrong += zeroed && hak_unit_address(held[count])[HAK_PAGE_BYTES] != 0;
    } while (!zeroed && ++count < HAK_SPAN_MOST_UNITS - 1);
    CHECK(count != 0);
    CHECK_EQ(wrong, 0);
    for (size_t i = 0; i <= count; i++)
        hak_sparse_give(6, held[i], UNITS);
    disarm_faults();
    hak_sparse_give_all();
}

static void what_nobody_asks_for_goes_back_in_time(void) {
    use(7, touch_ends);
    hak_sparse_age(); /* the fewest so far were none */
    size_t one = take(7);
    hak_sparse_give(7, one, UNITS);
    CHECK_EQ(COUNT(sparse_bytes), MANY * UNITS << HAK_UNIT_LG);
    hak_sparse_age();
    CHECK_EQ(COUNT(sparse_bytes), UNITS << HAK_UNIT_LG);
    hak_sparse_age();
    CHECK_EQ(COUNT(sparse_bytes), 0);
}

static void kept_addresses_are_bounded(void) {
    static size_t many[600];
    purge();
    for (int i = 0; i < 600; i++)
        touch_ends(many[i] = take(8));
    for (int i = 0; i < 600; i++)
        hak_sparse_give(8, many[i], UNITS);
    int64_t all = 600 * (UNITS << HAK_UNIT_LG);
    CHECK_BETWEEN(COUNT(sparse_bytes), 16 * (int64_t)HAK_MIB, all / 5 * 4);
    hak_sparse_give_all();
}

static void *churn(void *seed) {
    struct check_rng rng = check_rng_seed(*(uint64_t *)seed);
    size_t unit[24], place[24], bad = 0;
    int held[24] = {0};
    for (unsigned step = 0; step < rounds_of(4000); step++) {
        size_t i = check_rng_between(&rng, 0, 23);
        if (!held[i]) {
            int zeroed;
            place[i] = check_rng_between(&rng, 9, 11);
            unit[i] = hak_sparse_take((unsigned)place[i], place[i], &zeroed);
            uint64_t *word = (uint64_t *)hak_unit_address(unit[i]);
            bad += zeroed && *word != 0;
            *word = *(uint64_t *)seed;
        } else {
            bad += *(uint64_t *)hak_unit_address(unit[i]) != *(uint64_t *)seed;
            hak_sparse_give((unsigned)place[i], unit[i], place[i]);
        }
        held[i] = !held[i];
        if (step % 500 == 0)
            hak_sparse_age();
    }
    for (int i = 0; i < 24; i++)
        if (held[i])
            hak_sparse_give((unsigned)place[i], unit[i], place[i]);
    *(uint64_t *)seed = bad;
    return NULL;
}

static void threads_never_get_the_same_span(void) {
    uint64_t seeds[4] = {201, 202, 203, 204};
    run_threads(4, churn, seeds, sizeof *seeds);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(seeds[i], 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(hardly_touched_spans_wait_for_their_class);
    RUN(spans_that_are_used_are_shared_by_all);
    RUN(a_sparse_class_gets_spans_without_pages);
    RUN(a_refusal_to_take_pages_back_is_no_zeroed_span);
    RUN(what_nobody_asks_for_goes_back_in_time);
    RUN(kept_addresses_are_bounded);
    RUN(threads_never_get_the_same_span);
    return check_report();
}
