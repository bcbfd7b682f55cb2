/*
 * A handler that allocates, resizes and frees runs after every single instruction (the processor's
 * trap flag) of what the program's own calls lead to in every tier: refills, drains, runs, spans,
 * big blocks, the start of the thread. It never waits for a lock that it has interrupted, and no
 * block is anybody else's. Its sizes are of other classes than the program's: see docs/decisions.
 */
#include <signal.h>

#include "program.h"

enum { BLOCKS = 40, CALLS = 150, PATTERN = 0x5a };

static const size_t sizes[] = {64, 1000, 1000, 5000, 5000, 20000, 60000, 300000, 3000000};
static const size_t handler_sizes[] = {24, 700, 3000, 12000, 100000, 500000, 5000000};

static unsigned steps, refused;

static unsigned char *take(size_t bytes) {
    unsigned char *block = malloc(bytes);
    if (block != NULL)
        block[0] = block[bytes - 1] = PATTERN;
    return block;
}

static void let_go_of(unsigned char *block, size_t bytes) {
    EXPECT(block[0] == PATTERN && block[bytes - 1] == PATTERN);
    free(block);
}

static void handle(int number) {
    static unsigned char *kept;
    static size_t kept_bytes;
    int saved = errno;
    size_t bytes = handler_sizes[steps % 7 < 5 || steps % 64 == 0 ? steps % 7 : 0];
    unsigned char *block = take(bytes), *more;
    (void)number;
    steps++;
    if (block == NULL) {
        refused++;
        return;
    }
    if (kept != NULL)
        let_go_of(kept, kept_bytes);
    kept = block;
    kept_bytes = bytes;
    if (steps % 5 == 0 && (more = realloc(kept, handler_sizes[1])) != NULL) {
        EXPECT(more[0] == PATTERN);
        more[handler_sizes[1] - 1] = PATTERN;
        kept = more;
        kept_bytes = handler_sizes[1];
    }
    errno = saved;
}

static void *step_through_all_tiers(void *unused) {
    static unsigned char *blocks[BLOCKS];
    static size_t bytes[BLOCKS];
    uint64_t state = 7;
    for (unsigned i = 0; i < CALLS; i++) {
        unsigned at = next_random(&state) % BLOCKS;
        size_t want = sizes[next_random(&state) % (sizeof sizes / sizeof sizes[0])];
        unsigned char *given = blocks[at], *taken = NULL;
        if (given != NULL)
            EXPECT(given[0] == PATTERN && given[bytes[at] - 1] == PATTERN);
        STEP_ON();
        if (given == NULL)
            taken = malloc(want);
        else
            free(given);
        STEP_OFF();
        EXPECT(given != NULL || taken != NULL);
        blocks[at] = taken;
        if (taken != NULL) {
            bytes[at] = want;
            taken[0] = taken[want - 1] = PATTERN;
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i] != NULL)
            let_go_of(blocks[i], bytes[i]);
        blocks[i] = NULL;
    }
    return unused;
}

int main(void) {
    struct sigaction action = {.sa_handler = handle};
    pthread_t thread;
    GUARD();
    sigaction(SIGTRAP, &action, NULL);
    step_through_all_tiers(NULL);
    EXPECT(pthread_create(&thread, NULL, step_through_all_tiers, NULL) == 0);
    pthread_join(thread, NULL);
    EXPECT(steps > CALLS * 100);
    EXPECT(refused == 0);
    return report();
}
