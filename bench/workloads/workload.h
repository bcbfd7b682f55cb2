// What every workload shares: flags, random numbers, touching memory, timing, the JSON line.
//
// Owned by bench/workloads: each program there includes it once, and runs its allocator through
// plain malloc and free so that any allocator can be put under it by LD_PRELOAD. It takes no memory
// from that allocator itself (workload_map asks the kernel), so that nothing but the workload's own
// blocks is measured. It does not know which allocator is under it, and it compares nothing.
//
// Bad flags end the program with status 2, a failed allocation or a broken block with status 1.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WORKLOAD_MAX_THREADS = 64, WORKLOAD_PAGE = 4096, WORKLOAD_LINE = 64 };

#define WORKLOAD_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline void workload_fail(int status, const char *what, const char *value)
{
    fprintf(stderr, "workload: %s%s%s\n", what, value ? ": " : "", value ? value : "");
    exit(status);
}

// ---- flags ------------------------------------------------------------------------------------

// A number that can be set on the command line as `--name N`.
struct workload_flag {
    const char *name;
    uint64_t *value;
    uint64_t least, most;
    const char *doc;
};

// A named setting of the program's flags, chosen with `--preset NAME`; the first is the default.
struct workload_preset {
    const char *name;
    void (*use)(void);
};

struct workload {
    const char *name;                      // printed as "workload"; the preset's name if there are
    const struct workload_flag *flags;     // the program's own, besides --threads and --hold
    const struct workload_preset *presets; // may be NULL
    size_t flag_count, preset_count;
    uint64_t threads;      // default, then what --threads says
    uint64_t most_threads; // 1 where the workload has one thread by nature
    uint64_t thread_step;  // 2 where threads come in pairs, else 0 or 1
    bool hold;             // --hold: after the line, wait until stdin is closed
};

static inline void workload_usage(const struct workload *w)
{
    printf("usage: %s [--preset NAME] [--threads N] [--hold] [--FLAG N]...\n", w->name);
    for (size_t i = 0; i < w->preset_count; i++)
        printf("  --preset %s%s\n", w->presets[i].name, i ? "" : " (default)");
    printf("  --%-12s 1..%" PRIu64 ", default %" PRIu64 "\n", "threads", w->most_threads,
           w->threads);
    for (size_t i = 0; i < w->flag_count; i++)
        printf("  --%-12s %" PRIu64 "..%" PRIu64 ", default %" PRIu64 ": %s\n", w->flags[i].name,
               w->flags[i].least, w->flags[i].most, *w->flags[i].value, w->flags[i].doc);
    printf("  --hold         after the JSON line wait until stdin is closed\n");
}

static inline uint64_t workload_number(const char *flag, const char *text, uint64_t least,
                                       uint64_t most)
{
    char *end = NULL;
    unsigned long long value = text ? strtoull(text, &end, 10) : 0;
    if (!text || *text < '0' || *text > '9' || *end || value < least || value > most) {
        fprintf(stderr, "workload: --%s %s: not a number in %" PRIu64 "..%" PRIu64 "\n", flag,
                text ? text : "(nothing)", least, most);
        exit(2);
    }
    return value;
}

static inline void workload_use_preset(struct workload *w, const char *name)
{
    for (size_t i = 0; i < w->preset_count; i++) {
        if (!name || strcmp(name, w->presets[i].name) == 0) {
            w->name = w->presets[i].name;
            w->presets[i].use();
            return;
        }
    }
    if (name)
        workload_fail(2, "no such preset (--help names them)", name);
}

static inline void workload_use_flag(struct workload *w, const char *name, const char *text)
{
    if (strcmp(name, "threads") == 0) {
        w->threads = workload_number(name, text, 1, w->most_threads);
        return;
    }
    for (size_t i = 0; i < w->flag_count; i++) {
        const struct workload_flag *flag = &w->flags[i];
        if (strcmp(name, flag->name) == 0) {
            *flag->value = workload_number(name, text, flag->least, flag->most);
            return;
        }
    }
    workload_fail(2, "no such flag (--help names them)", name);
}

// Reads the command line into the flags. The preset goes first wherever it stands.
static inline void workload_parse(struct workload *w, int argc, char **argv)
{
    const char *preset = NULL;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--preset") == 0)
            preset = argv[i + 1];
    workload_use_preset(w, preset);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            workload_usage(w);
            exit(0);
        } else if (strcmp(argv[i], "--hold") == 0) {
            w->hold = true;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            workload_fail(2, "not a flag (--help names them)", argv[i]);
        } else if (strcmp(argv[i], "--preset") == 0) {
            if (++i >= argc)
                workload_fail(2, "--preset needs a name (--help names them)", NULL);
        } else {
            workload_use_flag(w, argv[i] + 2, argv[i + 1]);
            i++;
        }
    }
    if (w->thread_step > 1 && w->threads % w->thread_step != 0)
        workload_fail(2, "--threads must be even here: producers and consumers come in pairs",
                      NULL);
}

// ---- random numbers ---------------------------------------------------------------------------

// xorshift64* (Marsaglia 2003; Vigna 2016). Fixed seeds: every allocator gets the same requests.
struct workload_random {
    uint64_t state;
};

static inline struct workload_random workload_seed(uint64_t stream)
{
    uint64_t state = (stream + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct workload_random){state ^ (state >> 29)};
}

static inline uint32_t workload_next(struct workload_random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return (uint32_t)((random->state * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}

// Uniform in 0..bound-1, for bounds up to 2^32, by multiply and shift (no division).
static inline size_t workload_below(struct workload_random *random, uint64_t bound)
{
    return (size_t)(((uint64_t)workload_next(random) * bound) >> 32);
}

static inline size_t workload_between(struct workload_random *random, size_t least, size_t most)
{
    return least + workload_below(random, most - least + 1);
}

// ---- memory -----------------------------------------------------------------------------------

// Zeroed, already present memory for the workload's own tables, straight from the kernel.
static inline void *workload_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        workload_fail(1, "the kernel gave no memory for the workload's table", NULL);
    return memory;
}

// A block of at least two bytes that knows its tag: the first and the last byte carry it.
static inline unsigned char *workload_allocate(size_t size, unsigned tag)
{
    unsigned char *block = malloc(size);
    if (__builtin_expect(!block, 0))
        workload_fail(1, "malloc returned NULL", NULL);
    block[0] = (unsigned char)tag;
    block[size - 1] = (unsigned char)(tag >> 8);
    return block;
}

// Writes one byte of every page in between, as code that fills its buffer brings every page in.
static inline void workload_touch_pages(unsigned char *block, size_t size, unsigned tag)
{
    volatile unsigned char *bytes = block;
    for (size_t at = WORKLOAD_PAGE; at + 1 < size; at += WORKLOAD_PAGE)
        bytes[at] = (unsigned char)tag;
}

// What the block's ends say, for the checksum: a block that overlaps another changes it.
static inline uint64_t workload_read(const unsigned char *block, size_t size)
{
    return (uint64_t)block[0] + ((uint64_t)block[size - 1] << 8);
}

static inline uint64_t workload_release(unsigned char *block, size_t size)
{
    uint64_t sum = workload_read(block, size);
    free(block);
    return sum;
}

// A place of a table that holds a block, or none.
struct workload_slot {
    unsigned char *block;
    size_t size;
};

// Gives up the slot's block, if there is one.
static inline uint64_t workload_empty(struct workload_slot *slot)
{
    uint64_t sum = slot->block ? workload_release(slot->block, slot->size) : 0;
    slot->block = NULL;
    return sum;
}

static inline uint64_t workload_empty_all(struct workload_slot *table, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += workload_empty(&table[i]);
    return sum;
}

// ---- running ----------------------------------------------------------------------------------

static inline double workload_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// One thread's share; returns its part of the checksum. `thread` counts from 0.
typedef uint64_t workload_body(unsigned thread);

struct workload_worker {
    _Alignas(WORKLOAD_LINE) workload_body *body;
    pthread_barrier_t *start, *end;
    unsigned thread;
    uint64_t checksum;
};

static inline void *workload_worker_main(void *argument)
{
    struct workload_worker *worker = argument;
    pthread_barrier_wait(worker->start);
    worker->checksum = worker->body(worker->thread);
    pthread_barrier_wait(worker->end);
    return NULL;
}

struct workload_outcome {
    double seconds;
    uint64_t checksum;
};

static inline void workload_start(pthread_t *thread, void *(*entry)(void *), void *argument)
{
    if (pthread_create(thread, NULL, entry, argument) != 0)
        workload_fail(1, "pthread_create failed", NULL);
}

// Runs the body on so many threads and times from the moment all are ready until all are done.
// One thread means the main thread and no other: the allocators' single-thread paths count too.
static inline struct workload_outcome workload_run(workload_body *body, unsigned threads)
{
    if (threads == 1) {
        double begin = workload_now();
        uint64_t checksum = body(0);
        return (struct workload_outcome){workload_now() - begin, checksum};
    }
    static struct workload_worker workers[WORKLOAD_MAX_THREADS];
    pthread_t ids[WORKLOAD_MAX_THREADS];
    pthread_barrier_t start, end;
    pthread_barrier_init(&start, NULL, threads + 1);
    pthread_barrier_init(&end, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] =
            (struct workload_worker){.body = body, .start = &start, .end = &end, .thread = i};
        workload_start(&ids[i], workload_worker_main, &workers[i]);
    }
    double begin = workload_now();
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&end);
    struct workload_outcome outcome = {.seconds = workload_now() - begin};
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        outcome.checksum += workers[i].checksum;
    }
    return outcome;
}

// Prints the one line, and with --hold stays alive until the runner has read /proc and closes
// stdin.
static inline int workload_report(const struct workload *w, uint64_t ops,
                                  struct workload_outcome outcome)
{
    printf("{\"workload\": \"%s\", \"threads\": %" PRIu64 ", \"ops\": %" PRIu64
           ", \"seconds\": %.9f, \"ops_per_second\": %.1f, \"checksum\": %" PRIu64 "}\n",
           w->name, w->threads, ops, outcome.seconds,
           outcome.seconds > 0 ? (double)ops / outcome.seconds : 0.0,
           outcome.checksum & UINT64_C(0xffffffff));
    fflush(stdout);
    char ignored[16];
    while (w->hold && read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        continue;
    return 0;
}
