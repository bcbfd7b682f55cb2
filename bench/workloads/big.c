// big: a few large buffers of ever other sizes, every page of them written.
//
// 16 slots. A step frees the buffer of a random slot and allocates another, whose size is drawn
// evenly from the doublings of 64 KiB..16 MiB and evenly within the doubling: images, columns,
// network messages. Sizes hardly ever repeat, so an allocator that finds only what fits exactly
// gets all of its pages from the kernel anew. An operation is one buffer.
#include "workload.h"

enum { SLOTS = 16, DOUBLINGS = 8 };
#define LEAST_BYTES ((size_t)64 << 10)

static uint64_t buffers = 1000;
static struct workload_slot *tables[WORKLOAD_MAX_THREADS];

static uint64_t body(unsigned thread)
{
    struct workload_slot *table = tables[thread];
    struct workload_random random = workload_seed(thread);
    uint64_t checksum = 0;
    for (uint64_t step = 0; step < buffers; step++) {
        struct workload_slot *slot = &table[workload_below(&random, SLOTS)];
        checksum += workload_empty(slot);
        size_t least = LEAST_BYTES << workload_below(&random, DOUBLINGS);
        slot->size = workload_between(&random, least, 2 * least - 1);
        slot->block = workload_allocate(slot->size, (unsigned)step);
        workload_touch_pages(slot->block, slot->size, (unsigned)step);
    }
    return checksum + workload_empty_all(table, SLOTS);
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"buffers", &buffers, 1, UINT64_C(1) << 32, "buffers of each thread"},
    };
    struct workload w = {.name = "big",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 1,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    for (uint64_t i = 0; i < w.threads; i++)
        tables[i] = workload_map(SLOTS * sizeof(struct workload_slot));
    return workload_report(&w, buffers * w.threads, workload_run(body, (unsigned)w.threads));
}
