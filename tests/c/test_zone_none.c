/* os/zone when not even the smallest tables are to be had: the program goes on without one. */
#include "os/zone.h"

#include "hak.h"

static void refuse_all_tables(void) {
    arm_faults(FAULT_RESERVE, 1, 1000000);
}
EARLY(refuse_all_tables)

static void without_a_zone_small_blocks_are_refused_politely(void) {
    CHECK_EQ(hak_zone.units, 0);
    errno = 0;
    CHECK(hak_malloc(100) == NULL);
    CHECK_EQ(errno, ENOMEM);
    errno = 0;
    CHECK(hak_calloc(10, 10) == NULL);
    CHECK_EQ(errno, ENOMEM);
    CHECK(hak_malloc(20000) == NULL);
    hak_free(NULL);
}

static void without_a_zone_big_blocks_work(void) {
    char *big = hak_malloc(4 * HAK_MIB);
    if (!CHECK(big != NULL))
        return;
    big[4 * HAK_MIB - 1] = 1;
    CHECK(hak_malloc_usable_size(big) >= 4 * HAK_MIB);
    hak_free(big);
    int foreign;
    hak_free(&foreign);
    CHECK_EQ(COUNT(foreign_frees), 1);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(without_a_zone_small_blocks_are_refused_politely);
    RUN(without_a_zone_big_blocks_work);
    return check_report();
}
