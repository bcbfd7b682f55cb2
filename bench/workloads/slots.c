// random_mixed, tiny, mid_mt, large_mt, working_set: random slots of random sizes.
//
// Every thread owns a table of slots. A step picks one at random: a full slot is checked and freed,
// an empty one gets a block of a size drawn uniformly from least..most, whose first and last byte
// are written. So about half of the slots are full, lifetimes are geometric, and sizes never
// repeat in order. What is left at the end is freed. An operation is one step.
//
// | preset | slots a thread | bytes | what it stands for |
// |---|---|---|---|
// | random_mixed | 8192 | 16..1040 | the small objects of a service |
// | tiny | 4096 | 8..128 | nodes, strings, keys |
// | mid_mt | 512 | 8..32 KiB | buffers of requests |
// | large_mt | 32 | 32 KiB..1 MiB | images, columns, frames |
// | working_set | 262144 | 16..1040 | far more live memory (about 70 MB) than any cache holds |
#include "workload.h"

static uint64_t slots, least, most, steps;

static void use(uint64_t new_slots, uint64_t new_least, uint64_t new_most, uint64_t new_steps)
{
    slots = new_slots;
    least = new_least;
    most = new_most;
    steps = new_steps;
}

static void use_random_mixed(void)
{
    use(8192, 16, 1040, 16000000);
}

static void use_tiny(void)
{
    use(4096, 8, 128, 24000000);
}

static void use_mid_mt(void)
{
    use(512, 8 << 10, 32 << 10, 8000000);
}

static void use_large_mt(void)
{
    use(32, 32 << 10, 1 << 20, 1000000);
}

static void use_working_set(void)
{
    use(262144, 16, 1040, 4000000);
}

static struct workload_slot *tables[WORKLOAD_MAX_THREADS];

static uint64_t body(unsigned thread)
{
    struct workload_slot *table = tables[thread];
    struct workload_random random = workload_seed(thread);
    uint64_t checksum = 0;
    for (uint64_t step = 0; step < steps; step++) {
        struct workload_slot *slot = &table[workload_below(&random, slots)];
        if (slot->block) {
            checksum += workload_empty(slot);
        } else {
            slot->size = workload_between(&random, least, most);
            slot->block = workload_allocate(slot->size, (unsigned)step);
        }
    }
    return checksum + workload_empty_all(table, slots);
}

int main(int argc, char **argv)
{
    const struct workload_preset presets[] = {{"random_mixed", use_random_mixed},
                                              {"tiny", use_tiny},
                                              {"mid_mt", use_mid_mt},
                                              {"large_mt", use_large_mt},
                                              {"working_set", use_working_set}};
    const struct workload_flag flags[] = {
        {"slots", &slots, 1, 1 << 26, "slots of each thread"},
        {"least", &least, 2, 1 << 30, "smallest block in bytes"},
        {"most", &most, 2, 1 << 30, "largest block in bytes"},
        {"steps", &steps, 1, UINT64_C(1) << 40, "steps of each thread"},
    };
    struct workload w = {.flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .presets = presets,
                         .preset_count = WORKLOAD_COUNT(presets),
                         .threads = 1,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    if (least > most)
        workload_fail(2, "--least must not be above --most", NULL);
    for (uint64_t i = 0; i < w.threads; i++)
        tables[i] = workload_map(slots * sizeof(struct workload_slot));
    return workload_report(&w, steps * w.threads, workload_run(body, (unsigned)w.threads));
}
