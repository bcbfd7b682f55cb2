// pair64: one malloc, one free, the same size, again and again: the shortest way through.
//
// The block is written and read in between, and nothing else is live. An operation is one malloc
// with its free. `hakmem bench --callgrind` counts its instructions with two values of --pairs, so
// that what a process costs to start falls out.
#include "workload.h"

static uint64_t size = 64, pairs = 60000000;

static uint64_t body(unsigned thread)
{
    (void)thread;
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < pairs; i++) {
        unsigned char *block = workload_allocate(size, (unsigned)i);
        checksum += workload_release(block, size);
    }
    return checksum;
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"size", &size, 2, 1 << 30, "bytes of a block"},
        {"pairs", &pairs, 1, UINT64_C(1) << 40, "how often, on each thread"},
    };
    struct workload w = {.name = "pair64",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 1,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    return workload_report(&w, pairs * w.threads, workload_run(body, (unsigned)w.threads));
}
