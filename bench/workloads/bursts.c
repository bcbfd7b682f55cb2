// bursts: many blocks of one size at once, then all of them go, in one of three orders.
//
// A burst draws a size from 8..512 bytes and allocates 200..2000 blocks of it, whose ends are
// written. They are freed in the order of their allocation, in the reverse one, or at random, by
// turns: what a parser, a solver or a layout pass does with its nodes. A burst is longer than any
// cache of single blocks wants to be, so it shows what moving blocks in and out of one costs. An
// operation is one block, allocated and freed.
#include "workload.h"

enum { LEAST_BYTES = 8, MOST_BYTES = 512, LEAST_BLOCKS = 200, MOST_BLOCKS = 2000 };

static uint64_t bursts = 20000;
static uint64_t ops[WORKLOAD_MAX_THREADS];

enum order { FORWARDS, BACKWARDS, RANDOM, ORDERS };

static uint64_t empty(unsigned char **blocks, size_t count, size_t size, enum order order,
                      struct workload_random *random)
{
    uint64_t checksum = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = order == BACKWARDS ? count - 1 - i : i;
        if (order == RANDOM) {
            size_t other = workload_between(random, i, count - 1);
            unsigned char *block = blocks[other];
            blocks[other] = blocks[i];
            blocks[i] = block;
        }
        checksum += workload_release(blocks[at], size);
    }
    return checksum;
}

static uint64_t body(unsigned thread)
{
    unsigned char *blocks[MOST_BLOCKS];
    struct workload_random random = workload_seed(thread);
    uint64_t checksum = 0;
    for (uint64_t burst = 0; burst < bursts; burst++) {
        size_t size = workload_between(&random, LEAST_BYTES, MOST_BYTES);
        size_t count = workload_between(&random, LEAST_BLOCKS, MOST_BLOCKS);
        for (size_t i = 0; i < count; i++)
            blocks[i] = workload_allocate(size, (unsigned)(burst + i));
        checksum += empty(blocks, count, size, (enum order)(burst % ORDERS), &random);
        ops[thread] += count;
    }
    return checksum;
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"bursts", &bursts, 1, UINT64_C(1) << 32, "bursts of each thread"},
    };
    struct workload w = {.name = "bursts",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 1,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    struct workload_outcome outcome = workload_run(body, (unsigned)w.threads);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < w.threads; i++)
        sum += ops[i];
    return workload_report(&w, sum, outcome);
}
