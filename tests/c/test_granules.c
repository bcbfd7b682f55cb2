/* slab/granules: the bits of a unit's granules, against a plain array of flags. */
#include "slab/granules.h"

#include "check.h"

static struct hak_granules granules;
static char flags[HAK_GRANULES + 1];

static void set(unsigned at, unsigned end, int taken) {
    hak_granules_set(&granules, at, end, taken);
    memset(flags + at, taken, end - at);
}

/* The first flag from `at` on that is `taken`. */
static unsigned next_flag(unsigned at, int taken) {
    while (at < HAK_GRANULES && flags[at] != taken)
        at++;
    return at;
}

static unsigned differences(void) {
    unsigned wrong = 0;
    for (unsigned at = 0; at < HAK_GRANULES; at++) {
        wrong += (granules.taken[at / 64] >> at % 64 & 1) != (uint64_t)flags[at];
        wrong += hak_granules_next_free(&granules, at) != next_flag(at, 0);
        if (!flags[at])
            wrong += hak_granules_gap_end(&granules, at) != next_flag(at, 1);
    }
    return wrong;
}

static void rows_of_any_place_and_length_are_set_and_cleared(void) {
    struct check_rng rng = check_rng_seed(11);
    memset(&granules, 0, sizeof granules);
    memset(flags, 0, sizeof flags);
    for (int i = 0; i < 300; i++) {
        unsigned at = (unsigned)check_rng_between(&rng, 0, HAK_GRANULES - 1);
        unsigned most = i % 3 == 0 ? HAK_GRANULES : 300;
        unsigned end = at + (unsigned)check_rng_between(&rng, 1, most);
        set(at, (unsigned)hak_min(end, HAK_GRANULES), i % 2);
        if (!CHECK_EQ(differences(), 0))
            return;
    }
}

static void rows_that_end_with_a_word_leave_the_next_one_alone(void) {
    memset(&granules, 0, sizeof granules);
    memset(flags, 0, sizeof flags);
    set(0, 64, 1);
    set(127, 128, 1);
    set(192, 320, 1);
    set(HAK_GRANULES - 1, HAK_GRANULES, 1);
    CHECK_EQ(differences(), 0);
    set(0, HAK_GRANULES, 1);
    CHECK_EQ(hak_granules_next_free(&granules, 0), HAK_GRANULES);
    set(64, 128, 0);
    CHECK_EQ(differences(), 0);
    set(0, HAK_GRANULES, 0);
    CHECK_EQ(hak_granules_gap_end(&granules, 0), HAK_GRANULES);
    CHECK_EQ(hak_granules_next_free(&granules, HAK_GRANULES), HAK_GRANULES);
}

static void a_page_is_free_when_all_of_it_is(void) {
    memset(&granules, 0, sizeof granules);
    set(3 * HAK_GRANULES_A_PAGE - 1, 3 * HAK_GRANULES_A_PAGE, 1); /* the last of page 2 */
    set(5 * HAK_GRANULES_A_PAGE, 5 * HAK_GRANULES_A_PAGE + 1, 1); /* the first of page 5 */
    for (unsigned page = 0; page < HAK_GRANULES / HAK_GRANULES_A_PAGE; page++)
        CHECK_EQ(hak_granules_page_is_free(&granules, page), page != 2 && page != 5);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(rows_of_any_place_and_length_are_set_and_cleared);
    RUN(rows_that_end_with_a_word_leave_the_next_one_alone);
    RUN(a_page_is_free_when_all_of_it_is);
    return check_report();
}
