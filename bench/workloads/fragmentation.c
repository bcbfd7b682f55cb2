// fragmentation: live bytes stay the same while the sizes in fashion move.
//
// The heap is filled up to a budget with blocks of one size range, seven blocks in eight, picked at
// random, are freed, and the hole is filled with the next range: 32..63 bytes, 64..127, and so on
// up to 2048..4095, then from the start again. The survivors sit scattered over memory that served
// another size. An allocator that cannot turn that memory over to the new sizes grows: look at the
// peak RSS against the budget as well as at the time. An operation is one block.
#include "workload.h"

enum { FIRST_SIZE = 32, RANGES = 7, KEPT_OF = 8 };

struct entry {
    unsigned char *block;
    size_t size;
};

static uint64_t budget = 16 << 20, rounds = 40;
static struct entry *entries;
static size_t entry_count, live_bytes;
static uint64_t ops;

static void fill(struct workload_random *random, unsigned range)
{
    size_t least = (size_t)FIRST_SIZE << range;
    while (live_bytes < budget) {
        struct entry *entry = &entries[entry_count++];
        entry->size = workload_between(random, least, 2 * least - 1);
        entry->block = workload_allocate(entry->size, (unsigned)entry_count);
        live_bytes += entry->size;
        ops++;
    }
}

// Frees all but about one block in `kept_of`; none stays for 0.
static uint64_t thin(struct workload_random *random, unsigned kept_of)
{
    uint64_t checksum = 0;
    size_t kept = 0;
    for (size_t i = 0; i < entry_count; i++) {
        if (kept_of && workload_below(random, kept_of) == 0) {
            entries[kept++] = entries[i];
        } else {
            live_bytes -= entries[i].size;
            checksum += workload_release(entries[i].block, entries[i].size);
        }
    }
    entry_count = kept;
    return checksum;
}

static uint64_t body(unsigned thread)
{
    struct workload_random random = workload_seed(thread);
    uint64_t checksum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        fill(&random, (unsigned)(round % RANGES));
        checksum += thin(&random, KEPT_OF);
    }
    return checksum + thin(&random, 0);
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"budget", &budget, 4096, UINT64_C(1) << 34, "live bytes when the heap is full"},
        {"rounds", &rounds, 1, 1000000, "fillings, each with the next size range"},
    };
    struct workload w = {.name = "fragmentation",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 1,
                         .most_threads = 1};
    workload_parse(&w, argc, argv);
    entries = workload_map((budget / FIRST_SIZE + 1) * sizeof(struct entry));
    struct workload_outcome outcome = workload_run(body, 1);
    return workload_report(&w, ops, outcome);
}
