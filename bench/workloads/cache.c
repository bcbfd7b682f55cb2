// cache_thrash, cache_scratch: does the allocator put two threads' small objects on one cache line?
//
// After Berger et al., "Hoard" (2000). Each thread allocates a small object, writes to it many
// times, frees it, and starts again. An operation is one object.
//
// - thrash: the objects come straight from malloc. An allocator that gives neighbours on one line
//   to different threads (active false sharing) makes them slow.
// - scratch: the main thread allocates the first objects side by side and hands one to each
//   thread, which frees it and goes on as above. An allocator that gives the freed neighbour back
//   to the thread that freed it (passive false sharing) stays slow for ever.
#include "workload.h"

static uint64_t size = 8, writes = 100, objects = 8000000, scratch;
static unsigned char *handed[WORKLOAD_MAX_THREADS];

static void use_thrash(void)
{
    scratch = 0;
}

static void use_scratch(void)
{
    scratch = 1;
}

static uint64_t body(unsigned thread)
{
    if (scratch)
        free(handed[thread]);
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < objects; i++) {
        unsigned char *object = workload_allocate(size, (unsigned)i);
        volatile unsigned char *byte = object;
        for (uint64_t write = 0; write < writes; write++)
            *byte = (unsigned char)write;
        checksum += workload_release(object, size);
    }
    return checksum;
}

int main(int argc, char **argv)
{
    const struct workload_preset presets[] = {{"cache_thrash", use_thrash},
                                              {"cache_scratch", use_scratch}};
    const struct workload_flag flags[] = {
        {"size", &size, 2, 1 << 20, "bytes of an object"},
        {"writes", &writes, 0, 1 << 30, "writes to each object"},
        {"objects", &objects, 1, UINT64_C(1) << 40, "objects of each thread"},
    };
    struct workload w = {.flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .presets = presets,
                         .preset_count = WORKLOAD_COUNT(presets),
                         .threads = 2,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    for (uint64_t i = 0; scratch && i < w.threads; i++)
        handed[i] = workload_allocate(size, (unsigned)i);
    return workload_report(&w, objects * w.threads, workload_run(body, (unsigned)w.threads));
}
