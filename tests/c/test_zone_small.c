/* os/zone where the system refuses the large tables: a zone of 1 GiB, and its end. */
#include "os/zone.h"

#include <sys/mman.h>

#include "hak.h"
#include "slab/shared_pool.h"

/* Tables for 512, 64 and 8 GiB are refused, those for 1 GiB are not. */
static void refuse_large_tables(void) {
    arm_faults(FAULT_RESERVE, 1, 3);
}
EARLY(refuse_large_tables)

static void the_zone_is_as_large_as_its_tables_may_be(void) {
    CHECK_EQ(fault.failed, 3);
    CHECK_EQ(hak_zone.units, HAK_KIB * HAK_MIB >> HAK_UNIT_LG);
    void *block = hak_malloc(100);
    CHECK(hak_unit_of(block) < hak_zone.units);
    hak_free(block);
}

/* The zone is used up by ranges of another taker, as it would be by SuperSlabs. */
static void a_used_up_zone_is_told_as_registry_full_and_big_blocks_still_work(void) {
    static size_t taken[1024];
    size_t count = 0, last;
    struct hak_block counts = {0};
    struct hak_pool_outcome outcome = {.stage = 0};
    struct hak_slab *slab = NULL, *got;
    disarm_faults();
    while (count < 1024 && (last = hak_zone_take(32, 32)) != HAK_NO_UNIT)
        taken[count++] = last;
    CHECK(count > 400);
    CHECK_EQ(errno, ENOSPC);
    for (int i = 0; i < 64; i++) /* what is left of the open SuperSlab, then none */
        if ((got = hak_pool_acquire(3, 5000, 1, &counts, &outcome)) != NULL)
            slab = got;
    CHECK(got == NULL);
    CHECK_EQ(outcome.reason, 3);
    (void)slab;
    void *big = hak_malloc(8 * HAK_MIB);
    CHECK(big != NULL);
    hak_free(big);
    errno = 0;
    while ((big = hak_malloc(60)) != NULL) /* single units that the loop has left over */
        ;
    CHECK_EQ(errno, ENOMEM);
    for (size_t i = 0; i < count; i++)
        hak_zone_give(taken[i], 32);
    CHECK(hak_malloc(60) != NULL);
    CHECK(hak_pool_acquire(3, 5000, 1, &counts, &outcome) != NULL);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(the_zone_is_as_large_as_its_tables_may_be);
    RUN(a_used_up_zone_is_told_as_registry_full_and_big_blocks_still_work);
    return check_report();
}
