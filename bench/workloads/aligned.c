// aligned: blocks that must begin at a multiple of their alignment, as vectors and pages do.
//
// 1024 slots of 16..2048 bytes, one replaced at a time at random. The alignment is 64 in five calls
// of eight, and 32, 256 and 4096 in one each. Where a block begins is checked. An operation is one
// block.
#include "workload.h"

enum { SLOTS = 1024, LEAST_BYTES = 16, MOST_BYTES = 2048 };

static const size_t aligns[] = {64, 64, 64, 64, 64, 32, 256, 4096};

static uint64_t steps = 6000000;
static struct workload_slot *tables[WORKLOAD_MAX_THREADS];

static unsigned char *allocate(size_t align, size_t size, unsigned tag)
{
    void *block = NULL;
    if (posix_memalign(&block, align, size) != 0 || (uintptr_t)block % align != 0)
        workload_fail(1, "posix_memalign gave no block, or one that is not aligned", NULL);
    unsigned char *bytes = block;
    bytes[0] = (unsigned char)tag;
    bytes[size - 1] = (unsigned char)(tag >> 8);
    return bytes;
}

static uint64_t body(unsigned thread)
{
    struct workload_slot *table = tables[thread];
    struct workload_random random = workload_seed(thread);
    uint64_t checksum = 0;
    for (uint64_t step = 0; step < steps; step++) {
        struct workload_slot *slot = &table[workload_below(&random, SLOTS)];
        checksum += workload_empty(slot);
        size_t align = aligns[workload_below(&random, WORKLOAD_COUNT(aligns))];
        slot->size = workload_between(&random, LEAST_BYTES, MOST_BYTES);
        slot->block = allocate(align, slot->size, (unsigned)step);
    }
    return checksum + workload_empty_all(table, SLOTS);
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"steps", &steps, 1, UINT64_C(1) << 40, "blocks of each thread"},
    };
    struct workload w = {.name = "aligned",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 1,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    for (uint64_t i = 0; i < w.threads; i++)
        tables[i] = workload_map(SLOTS * sizeof(struct workload_slot));
    return workload_report(&w, steps * w.threads, workload_run(body, (unsigned)w.threads));
}
