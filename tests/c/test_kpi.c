/* front/kpi: percentiles against exact ones; operations, faults and RSS are the real ones. */
#include "front/kpi.h"

#include <sys/mman.h>

#include "hak.h"
#include "hakmem.h"

static struct hak_kpi ask(void) {
    struct hak_kpi kpi;
    CHECK_EQ(hak_get_kpi(&kpi), 0);
    return kpi;
}

static void percentiles_are_within_a_sixteenth(void) {
    uint64_t before = ask().operations;
    CHECK(before < 100); /* what comes now is nearly all there is */
    for (uint64_t i = 0; i < 200000; i++)
        hak_kpi_note(1000 + i * 45); /* 1 us to 9 ms, evenly */
    struct hak_kpi kpi = ask();
    CHECK_EQ(kpi.operations - before, 200000);
    CHECK_NEAR((double)kpi.p50_ns, 4501000, 4501000 / 16.0 + 20000);
    CHECK_NEAR((double)kpi.p95_ns, 8551000, 8551000 / 16.0 + 20000);
    CHECK_NEAR((double)kpi.p99_ns, 8911000, 8911000 / 16.0 + 20000);
}

static void every_duration_has_its_place(void) {
    for (int lg = 0; lg < 64; lg++)
        hak_kpi_note((uint64_t)1 << lg);
    hak_kpi_note(0);
    hak_kpi_note(UINT64_MAX);
    struct hak_kpi kpi = ask();
    CHECK(kpi.p50_ns <= kpi.p95_ns && kpi.p95_ns <= kpi.p99_ns);
}

static void slow_paths_are_timed_one_in_so_many(void) {
    enum { BLOCKS = 64 * 100 };
    static void *blocks[BLOCKS];
    uint64_t before = ask().operations, refills = (uint64_t)COUNT(big_maps);
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = hak_malloc(3 << 20); /* each a slow path */
    uint64_t timed = ask().operations - before;
    CHECK(timed >= 99 && timed <= 101);
    for (int i = 0; i < BLOCKS; i++)
        hak_free(blocks[i]);
    CHECK((uint64_t)COUNT(big_maps) - refills == BLOCKS);
}

static void nothing_is_timed_while_sampling_is_off(void) {
    uint64_t before = ask().operations;
    int64_t sample_bytes = hak_knob(sample_bytes);
    SET_KNOB(sample_bytes, 0);
    for (int i = 0; i < 1000; i++)
        hak_free(hak_malloc(3 << 20));
    CHECK_EQ(ask().operations, before);
    SET_KNOB(sample_bytes, sample_bytes);
}

static void faults_and_resident_bytes_are_the_processes_own(void) {
    enum { PAGES = 4096 };
    struct hak_kpi before = ask();
    char *pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    madvise(pages, PAGES * 4096, MADV_NOHUGEPAGE);
    for (int i = 0; i < PAGES; i++)
        pages[i * 4096] = 1;
    struct hak_kpi after = ask();
    CHECK(after.minor_faults - before.minor_faults >= PAGES);
    CHECK(after.rss_delta_bytes - before.rss_delta_bytes > PAGES * 4096 / 10 * 9);
    CHECK(after.rss_bytes > before.rss_bytes);
    munmap(pages, PAGES * 4096);
    CHECK(ask().rss_bytes < after.rss_bytes);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    CHECK_EQ(ask().rss_delta_bytes, 0); /* the first call */
    RUN(percentiles_are_within_a_sixteenth);
    RUN(every_duration_has_its_place);
    RUN(slow_paths_are_timed_one_in_so_many);
    RUN(nothing_is_timed_while_sampling_is_off);
    RUN(faults_and_resident_bytes_are_the_processes_own);
    return check_report();
}
