// json, mir, vm, mixed: the mission's four scenarios, one buffer at a time on one thread.
//
// A buffer is allocated, written and freed before the next one; an operation is one such buffer.
//
// | preset | buffer | buffers | written |
// |---|---|---|---|
// | json | 64 KiB | 1000, and that `--repeat` times | first and last byte |
// | mir | 256 KiB | 100, and that `--repeat` times | a byte of every page |
// | vm | 2 MiB | 10 or 100 (`--buffers`), once: the process is cold | a byte of every page |
// | mixed | 1000 json buffers, 100 of mir, 10 of vm, and that `--repeat` times | ends, ends, pages
// |
//
// json is what a parser does that reuses a scratch buffer of which it uses little: the allocator's
// own work is what is seen. mir and vm are buffers that are filled: bringing pages in, and keeping
// them, is what is seen. vm runs its buffers once from a cold heap, since the mission counts the
// page faults of exactly that; the runner adds up many such processes. mixed touches its first two
// stages at the ends only, or its memory traffic would hide the allocator.
#include "workload.h"

struct stage {
    uint64_t size, buffers, pages;
};

static struct stage stages[3];
static uint64_t stage_count, repeat;

static void use_json(void)
{
    stages[0] = (struct stage){64 << 10, 1000, 0};
    stage_count = 1;
    repeat = 6000;
}

static void use_mir(void)
{
    stages[0] = (struct stage){256 << 10, 100, 1};
    stage_count = 1;
    repeat = 8000;
}

static void use_vm(void)
{
    stages[0] = (struct stage){2 << 20, 100, 1};
    stage_count = 1;
    repeat = 1;
}

static void use_mixed(void)
{
    stages[0] = (struct stage){64 << 10, 1000, 0};
    stages[1] = (struct stage){256 << 10, 100, 0};
    stages[2] = (struct stage){2 << 20, 10, 1};
    stage_count = 3;
    repeat = 4000;
}

static uint64_t run_stage(const struct stage *stage)
{
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < stage->buffers; i++) {
        unsigned char *buffer = workload_allocate(stage->size, (unsigned)i);
        if (stage->pages)
            workload_touch_pages(buffer, stage->size, (unsigned)i);
        checksum += workload_release(buffer, stage->size);
    }
    return checksum;
}

static uint64_t body(unsigned thread)
{
    (void)thread;
    uint64_t checksum = 0;
    for (uint64_t round = 0; round < repeat; round++)
        for (uint64_t i = 0; i < stage_count; i++)
            checksum += run_stage(&stages[i]);
    return checksum;
}

int main(int argc, char **argv)
{
    const struct workload_preset presets[] = {
        {"json", use_json}, {"mir", use_mir}, {"vm", use_vm}, {"mixed", use_mixed}};
    const struct workload_flag flags[] = {
        {"size", &stages[0].size, 2, 1 << 30, "bytes of a buffer of the first stage"},
        {"buffers", &stages[0].buffers, 1, 100000000, "buffers of the first stage"},
        {"pages", &stages[0].pages, 0, 1, "first stage writes every page, not only the ends"},
        {"repeat", &repeat, 1, 100000000, "how often the stages are gone through"},
    };
    struct workload w = {.flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .presets = presets,
                         .preset_count = WORKLOAD_COUNT(presets),
                         .threads = 1,
                         .most_threads = 1};
    workload_parse(&w, argc, argv);
    uint64_t ops = 0;
    for (uint64_t i = 0; i < stage_count; i++)
        ops += stages[i].buffers * repeat;
    return workload_report(&w, ops, workload_run(body, 1));
}
