// sites: call sites whose purpose is known, for the score of what the allocator takes them for.
//
// Each purpose below has two sites: a function that asks by hak_alloc_cs (labelled calls), and one
// that asks by malloc, which the allocator knows by its return address. Their requests are
// interleaved, sizes are drawn evenly from the purpose's range, and the last few blocks of each
// site stay in use, as they do in a program. The line tells each function's label; `hakmem bench
// --sites` compares it with the table of call sites. The labels are what a person would say, so not
// all of them can be told from requests alone. Under an allocator without hak_alloc_cs, malloc
// stands in. An operation is one request.
//
// | label | what asks |
// |---|---|
// | SMALL_FREQUENT | nodes, strings, keys: many requests up to 1 KiB |
// | MEDIUM | buffers between Tiny and 1 MiB |
// | LARGE_INFREQUENT | blocks from 1 MiB up |
// | DEFAULT | too rare to say, or a mixture of the tiers |
#include "workload.h"

#include <dlfcn.h>

enum { PURPOSES = 20, KEPT = 8 };

struct purpose {
    const char *label;
    size_t least, most;
    unsigned requests;
    size_t also; // a second size, every fourth time; 0: none
};

static const struct purpose purposes[PURPOSES] = {
    {"SMALL_FREQUENT", 16, 64, 5000, 0},
    {"SMALL_FREQUENT", 100, 900, 500, 0},
    {"SMALL_FREQUENT", 8, 1024, 300, 0},
    {"SMALL_FREQUENT", 32, 32, 200, 0},
    {"SMALL_FREQUENT", 24, 48, 2000, 4000}, // now and then a larger one
    {"SMALL_FREQUENT", 64, 64, 80, 0},      // hardly frequent
    {"MEDIUM", 2100, 30000, 200, 0},
    {"MEDIUM", 65536, 131072, 50, 0},
    {"MEDIUM", 4096, 4096, 16, 0},
    {"MEDIUM", 200000, 900000, 40, 0},
    {"MEDIUM", 8192, 65536, 1000, 0},
    {"LARGE_INFREQUENT", 1 << 20, 4 << 20, 20, 0},
    {"LARGE_INFREQUENT", 2 << 20, 2 << 20, 10, 0},
    {"LARGE_INFREQUENT", 1 << 20, 2 << 20, 100, 0},
    {"LARGE_INFREQUENT", 900000, 3 << 20, 30, 0}, // some below the threshold
    {"DEFAULT", 16, 3 << 20, 4, 0},
    {"DEFAULT", 64, 64, 7, 0},
    {"DEFAULT", 500, 4000, 100, 0},
    {"DEFAULT", 1000, 1000, 100, 2 << 20},
    {"DEFAULT", 3 << 20, 3 << 20, 3, 0},
};

static void *(*ask_labelled)(size_t size) = malloc;

// noipa: functions that look the same stay apart, and no call of theirs is a jump.
#define SITE(n) \
    __attribute__((noipa)) void *labelled_##n(size_t size) \
    { \
        unsigned char *block = ask_labelled(size); \
        if (!block) \
            workload_fail(1, "hak_alloc_cs returned NULL", NULL); \
        block[0] = n; \
        return block; \
    } \
    __attribute__((noipa)) void *plain_##n(size_t size) \
    { \
        unsigned char *block = malloc(size); \
        if (!block) \
            workload_fail(1, "malloc returned NULL", NULL); \
        block[0] = n; \
        return block; \
    }
#define ALL(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) \
    X(17) X(18) X(19)

#define DECLARE(n) \
    void *labelled_##n(size_t size); \
    void *plain_##n(size_t size);
ALL(DECLARE)
ALL(SITE)

#define NAMES(n) {{"labelled_" #n, labelled_##n}, {"plain_" #n, plain_##n}},
static const struct {
    const char *function;
    void *(*ask)(size_t size);
} sites[PURPOSES][2] = {ALL(NAMES)};

static unsigned char *kept[PURPOSES][2][KEPT];

static size_t draw(const struct purpose *purpose, struct workload_random *random, unsigned turn)
{
    if (purpose->also && turn % 4 == 3)
        return purpose->also;
    return workload_between(random, purpose->least, purpose->most);
}

static uint64_t replace(unsigned char **place, unsigned char *block, unsigned tag)
{
    uint64_t wrong = *place && **place != tag;
    free(*place);
    *place = block;
    return wrong;
}

static uint64_t body(unsigned thread)
{
    struct workload_random random = workload_seed(thread);
    uint64_t wrong = 0;
    for (unsigned turn = 0, any = 1; any; turn++) {
        any = 0;
        for (unsigned p = 0; p < PURPOSES; p++) {
            if (turn >= purposes[p].requests)
                continue;
            any = 1;
            size_t size = draw(&purposes[p], &random, turn);
            for (unsigned way = 0; way < 2; way++)
                wrong += replace(&kept[p][way][turn % KEPT], sites[p][way].ask(size), p);
        }
    }
    return wrong;
}

static int report(const struct workload *w, struct workload_outcome outcome)
{
    uint64_t ops = 0;
    for (unsigned p = 0; p < PURPOSES; p++)
        ops += 2 * purposes[p].requests;
    printf("{\"sites\": [");
    for (unsigned p = 0; p < PURPOSES; p++)
        for (unsigned way = 0; way < 2; way++)
            printf("%s{\"function\": \"%s\", \"label\": \"%s\", \"requests\": %u}",
                   p + way ? ", " : "", sites[p][way].function, purposes[p].label,
                   purposes[p].requests);
    printf("], \"labelled_calls\": %s}\n", ask_labelled == malloc ? "false" : "true");
    return workload_report(w, ops, outcome);
}

int main(int argc, char **argv)
{
    struct workload w = {.name = "sites", .threads = 1, .most_threads = 1};
    workload_parse(&w, argc, argv);
    void *own = dlsym(RTLD_DEFAULT, "hak_alloc_cs");
    if (own)
        memcpy(&ask_labelled, &own, sizeof own);
    return report(&w, workload_run(body, 1));
}
