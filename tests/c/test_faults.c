/*
 * The system refuses memory: the k-th request of all, for every k, once or from then on. The
 * program that asked gets NULL and ENOMEM or its block, loses nothing that it has, and gets all it
 * asks for again as soon as the system gives again.
 *
 * The program runs itself once for each k, since the start of the library counts too.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "hak.h"

enum { LIVE = 64, THREADS = 3, STEPS = 300 };

/* ---- the child: allocates under faults, checks every byte it holds ----------------------- */

static void arm_from_environment(void) {
    const char *faults = getenv("HAK_FAULTS");
    unsigned kinds;
    long from, count;
    if (faults != NULL && sscanf(faults, "%u %ld %ld", &kinds, &from, &count) == 3)
        arm_faults(kinds, from, count);
}
EARLY(arm_from_environment)

struct worker {
    uint64_t seed;
    int may_fail;
    unsigned refused, bad;
    unsigned char *blocks[LIVE];
    size_t bytes[LIVE];
};

static size_t some_size(struct check_rng *rng) {
    static const size_t most[] = {64, 1024, 2048, 32768, 262144, 900000, 1500000};
    return check_rng_between(rng, 1, most[check_rng_between(rng, 0, HAK_COUNT_OF(most) - 1)]);
}

static void fill(struct worker *w, unsigned i) {
    memset(w->blocks[i], (int)(i + w->seed), w->bytes[i]);
}

static void check(struct worker *w, unsigned i, size_t bytes) {
    unsigned char want = (unsigned char)(i + w->seed);
    for (size_t k = 0; k < bytes; k += k + 64 < bytes ? 61 : 1)
        w->bad += w->blocks[i][k] != want;
}

static void refused(struct worker *w) {
    w->refused++;
    w->bad += errno != ENOMEM || !w->may_fail;
}

static void allocate(struct worker *w, unsigned i, struct check_rng *rng) {
    size_t bytes = some_size(rng);
    unsigned how = (unsigned)check_rng_between(rng, 0, 3);
    errno = 0;
    void *block = how == 0   ? hak_calloc(1, bytes)
                  : how == 1 ? hak_memalign((size_t)16 << check_rng_between(rng, 0, 9), bytes)
                             : hak_malloc(bytes);
    if (block == NULL) {
        refused(w);
        return;
    }
    w->blocks[i] = block;
    w->bytes[i] = bytes;
    fill(w, i);
}

static void resize(struct worker *w, unsigned i, struct check_rng *rng) {
    size_t bytes = some_size(rng);
    errno = 0;
    void *block = hak_realloc(w->blocks[i], bytes);
    if (block == NULL) {
        refused(w);
        check(w, i, w->bytes[i]); /* the old block is as it was */
        return;
    }
    w->blocks[i] = block;
    check(w, i, hak_min(bytes, w->bytes[i]));
    w->bytes[i] = bytes;
    fill(w, i);
}

static void release(struct worker *w, unsigned i) {
    check(w, i, w->bytes[i]);
    hak_free(w->blocks[i]);
    w->blocks[i] = NULL;
}

static void *work(void *argument) {
    struct worker *w = argument;
    struct check_rng rng = check_rng_seed(w->seed);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)check_rng_between(&rng, 0, LIVE - 1);
        if (w->blocks[i] == NULL)
            allocate(w, i, &rng);
        else if (check_rng_between(&rng, 0, 2) == 0)
            resize(w, i, &rng);
        else
            release(w, i);
    }
    return NULL;
}

static void *release_all(void *argument) {
    struct worker *w = argument;
    for (unsigned i = 0; i < LIVE; i++)
        if (w->blocks[i] != NULL)
            release(w, i);
    return NULL;
}

/* 0: all well, and something was refused; 3: the same, but nothing was to be refused any more. */
static int child(void) {
    static struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        workers[i] = (struct worker){.seed = 10 + i, .may_fail = 1};
    work(&workers[0]);
    run_threads(THREADS - 1, work, &workers[1], sizeof workers[0]);
    long failed = disarm_faults();
    unsigned bad = 0;
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].may_fail = 0;
    for (unsigned i = 0; i < THREADS; i++)
        work(&workers[i]);
    run_threads(THREADS, release_all, workers, sizeof workers[0]);
    for (unsigned i = 0; i < THREADS; i++)
        bad += workers[i].bad;
    if (bad != 0)
        fprintf(stderr, "  %u bytes or refusals were wrong\n", bad);
    if (COUNT(integrity_errors) != 0)
        fprintf(stderr, "  %ld integrity errors\n", (long)COUNT(integrity_errors));
    if (bad != 0 || COUNT(integrity_errors) != 0)
        return 1;
    return failed > 0 ? 0 : 3;
}

/* ---- the parent ---------------------------------------------------------------------------- */

enum { MEMORY = FAULT_MAP | FAULT_RESERVE | FAULT_COMMIT | FAULT_REMAP };

static int run_child(unsigned kinds, long from, long count) {
    char faults[80];
    snprintf(faults, sizeof faults, "%u %ld %ld", kinds, from, count);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("HAK_FAULTS", faults, 1);
        execl("/proc/self/exe", "test_faults", "--child", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* All k until one child got to its end without a refusal; a bad one is told by its k. */
static void refuse_each(unsigned kinds, long count, long step) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    step = step * 4 + 1; /* the start of a program takes long there */
#endif
    if (rounds_of(1) != 1) /* HAK_LONG=1: each of them */
        step = 1;
    for (long k = 1; k < 2000; k += step) {
        int code = run_child(kinds, k, count);
        if (code == 3)
            return;
        if (!CHECK_EQ(code, 0))
            fprintf(stderr, "  with %s refused from number %ld on\n",
                    count == 1 ? "one request" : "requests", k);
    }
    CHECK(!"requests never end");
}

static void any_single_refusal_is_survived(void) {
    refuse_each(MEMORY, 1, 1);
}

static void any_two_refusals_in_a_row_are_survived(void) {
    refuse_each(MEMORY, 2, 3);
}

static void a_system_that_refuses_from_some_moment_on_is_survived(void) {
    refuse_each(MEMORY, 1000000, 3);
}

/* As munmap does at the limit on mappings: what it should have given back stays, no more. */
static void a_system_that_takes_nothing_back_is_survived(void) {
    setenv("HAKMEM_MODE", "minimal", 1); /* without caches blocks are unmapped at once */
    refuse_each(FAULT_UNMAP, 1, 5);
    CHECK_EQ(run_child(FAULT_UNMAP, 1, 1000000), 0);
    unsetenv("HAKMEM_MODE");
}

static void a_system_that_takes_no_advice_is_survived(void) {
    setenv("HAKMEM_THP", "off", 1); /* which is an advice for each block */
    CHECK_EQ(run_child(FAULT_ADVISE, 1, 1000000), 0);
    CHECK_EQ(run_child(FAULT_ADVISE | FAULT_UNMAP | FAULT_REMAP, 1, 1000000), 0);
    unsetenv("HAKMEM_THP");
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return child();
    CHECK_MAIN(argc, argv);
    RUN(any_single_refusal_is_survived);
    RUN(any_two_refusals_in_a_row_are_survived);
    RUN(a_system_that_refuses_from_some_moment_on_is_survived);
    RUN(a_system_that_takes_nothing_back_is_survived);
    RUN(a_system_that_takes_no_advice_is_survived);
    return check_report();
}
