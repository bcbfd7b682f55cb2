// larson: servers whose threads hand their live objects on to their successors.
//
// After Larson and Krishnan, "Memory Allocation for Long-Running Server Applications" (1998). Each
// of the `--threads` chains owns a table of live blocks. A step replaces blocks: it frees `burst`
// of them, picked at random, and then allocates as many. After its steps a thread ends and the next
// generation carries on with the same table, so most blocks are freed by a thread other than the
// one that allocated them. An operation is one block replaced. Bounded by count, not by time.
//
// | preset | slots a chain | bytes | burst | generations |
// |---|---|---|---|---|
// | loop | 5000 | 8..1000 | 1 | 32 |
// | burst | 1024 | 8..128 | 256 | 32 |
#include "workload.h"

static uint64_t slots, least, most, burst, generations, replaced;

struct chain {
    _Alignas(WORKLOAD_LINE) unsigned char **blocks;
    uint32_t *sizes;
    struct workload_random random;
    uint64_t checksum;
};

static struct chain chains[WORKLOAD_MAX_THREADS];

static void use_loop(void)
{
    slots = 5000;
    least = 8;
    most = 1000;
    burst = 1;
    generations = 32;
    replaced = 300000;
}

static void use_burst(void)
{
    slots = 1024;
    least = 8;
    most = 128;
    burst = 256;
    generations = 32;
    replaced = 500000;
}

static void fill(struct chain *chain, size_t slot)
{
    size_t size = workload_between(&chain->random, least, most);
    chain->sizes[slot] = (uint32_t)size;
    chain->blocks[slot] = workload_allocate(size, (unsigned)slot);
}

// The slots of a burst lie side by side from a random one on: they were filled at random times.
static void *generation_main(void *argument)
{
    struct chain *chain = argument;
    for (uint64_t step = 0; step < replaced / burst; step++) {
        size_t first = workload_below(&chain->random, slots - burst + 1);
        for (size_t slot = first; slot < first + burst; slot++)
            chain->checksum += workload_release(chain->blocks[slot], chain->sizes[slot]);
        for (size_t slot = first; slot < first + burst; slot++)
            fill(chain, slot);
    }
    return NULL;
}

static uint64_t body(unsigned thread)
{
    struct chain *chain = &chains[thread];
    for (size_t slot = 0; slot < slots; slot++)
        fill(chain, slot);
    for (uint64_t generation = 0; generation < generations; generation++) {
        pthread_t id;
        workload_start(&id, generation_main, chain);
        pthread_join(id, NULL);
    }
    for (size_t slot = 0; slot < slots; slot++)
        chain->checksum += workload_release(chain->blocks[slot], chain->sizes[slot]);
    return chain->checksum;
}

int main(int argc, char **argv)
{
    const struct workload_preset presets[] = {{"loop", use_loop}, {"burst", use_burst}};
    const struct workload_flag flags[] = {
        {"slots", &slots, 1, 1 << 24, "live blocks of each chain"},
        {"least", &least, 2, 1 << 30, "smallest block in bytes"},
        {"most", &most, 2, 1 << 30, "largest block in bytes"},
        {"burst", &burst, 1, 1 << 20, "blocks freed, then allocated, in a step"},
        {"generations", &generations, 1, 1 << 20, "threads of a chain, one after the other"},
        {"replaced", &replaced, 1, UINT64_C(1) << 40, "blocks replaced by each thread"},
    };
    struct workload w = {.flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .presets = presets,
                         .preset_count = WORKLOAD_COUNT(presets),
                         .threads = 1,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    if (least > most || burst > slots)
        workload_fail(2, "--least must not be above --most, nor --burst above --slots", NULL);
    w.name = burst == 1 ? "larson_loop" : "larson_burst";
    for (uint64_t i = 0; i < w.threads; i++)
        chains[i] = (struct chain){.blocks = workload_map(slots * sizeof(unsigned char *)),
                                   .sizes = workload_map(slots * sizeof(uint32_t)),
                                   .random = workload_seed(i)};
    uint64_t ops = replaced / burst * burst * generations * w.threads;
    return workload_report(&w, ops, workload_run(body, (unsigned)w.threads));
}
