/*
 * Random traces with shadow contents: every block is filled with a pattern of its own, checked when
 * it is resized, freed or met, and freed by any thread. So a block handed out twice, overlapping
 * another, or written by the allocator while the program owns it is found; and at the end the
 * counters must say that no block is left, and every slab that all of its blocks are home, which
 * finds the lost ones.
 *
 * Each setting is a run of this program of its own, since most knobs are read at the start.
 */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/front.h"
#include "hak.h"
#include "mid/ace.h"
#include "slab/mixed.h"
#include "slab/remote.h"

enum { OWN = 300, SHARED = 200, THREADS = 4, WAVES = 6 };

struct record {
    unsigned char *block;
    size_t bytes;
    uint64_t pattern;
};

static struct record shared[SHARED];
static pthread_mutex_t shared_locks[SHARED];
static unsigned steps;

struct tracer {
    uint64_t seed;
    struct check_rng rng;
    struct record own[OWN];
    unsigned bad;
};

static size_t chance(struct tracer *t, size_t n) {
    return check_rng_between(&t->rng, 0, n - 1);
}

/* ---- contents ---------------------------------------------------------------------------- */

/* Eight bytes at a time at both ends, every so often between. */
static size_t next_word(size_t at, size_t bytes) {
    return at < 128 || at + 128 >= bytes ? at + 8 : at + 8 + (at & 120) * 4;
}

static void fill(struct record *r) {
    size_t at = 0;
    for (; at + 8 <= r->bytes; at = next_word(at, r->bytes))
        memcpy(r->block + at, &r->pattern, 8);
    for (at = r->bytes & ~(size_t)7; at < r->bytes; at++)
        r->block[at] = (unsigned char)r->pattern;
}

/* The first `bytes` of a block that was filled as r->bytes long. */
static void check(struct tracer *t, const struct record *r, size_t bytes) {
    for (size_t at = 0; at + 8 <= bytes && at + 8 <= r->bytes; at = next_word(at, r->bytes))
        t->bad += memcmp(r->block + at, &r->pattern, 8) != 0;
    for (size_t at = r->bytes & ~(size_t)7; at < r->bytes && at < bytes; at++)
        t->bad += r->block[at] != (unsigned char)r->pattern;
}

static void check_zeros(struct tracer *t, const struct record *r) {
    for (size_t at = 0; at < r->bytes; at++)
        if (r->block[at] != 0) {
            t->bad++;
            return;
        }
}

/* ---- steps --------------------------------------------------------------------------------- */

static size_t some_size(struct tracer *t) {
    static const size_t most[] = {16,   64,   64,   200,   200,   512,   1024,   1040,
                                  2048, 2048, 5000, 16000, 32768, 65536, 120000, 262144};
    if (chance(t, 500) == 0)
        return chance(t, 5 * HAK_MIB);
    return chance(t, most[chance(t, HAK_COUNT_OF(most))] + 1);
}

static void take(struct tracer *t, struct record *r) {
    size_t align = 0;
    bool is_zeroed = false;
    r->bytes = some_size(t);
    r->pattern = check_rng_u64(&t->rng);
    switch (chance(t, 8)) {
    case 0:
        r->block = hak_calloc(r->bytes, 1);
        is_zeroed = true;
        break;
    case 1:
        align = (size_t)8 << chance(t, chance(t, 20) == 0 ? 16 : 9);
        if (hak_posix_memalign((void **)&r->block, align, r->bytes) != 0)
            r->block = NULL;
        break;
    default:
        r->block = hak_malloc(r->bytes);
    }
    if (r->block == NULL) {
        t->bad++;
        return;
    }
    if (is_zeroed)
        check_zeros(t, r);
    t->bad += hak_malloc_usable_size(r->block) < r->bytes;
    t->bad += align != 0 && (uintptr_t)r->block % align != 0;
    fill(r);
}

static void resize(struct tracer *t, struct record *r) {
    size_t bytes = chance(t, 2) != 0 ? r->bytes + chance(t, r->bytes + 1) : some_size(t);
    if (bytes == 0)
        bytes = 1;
    unsigned char *block = hak_realloc(r->block, bytes);
    if (block == NULL) {
        t->bad++;
        return;
    }
    r->block = block;
    check(t, r, bytes);
    r->bytes = bytes;
    fill(r);
}

static void give(struct tracer *t, struct record *r) {
    check(t, r, r->bytes);
    hak_free(r->block);
    r->block = NULL;
}

static void step_on(struct tracer *t, struct record *r) {
    if (r->block == NULL)
        take(t, r);
    else if (chance(t, 5) == 0)
        resize(t, r);
    else
        give(t, r);
}

static void meet_shared(struct tracer *t) {
    size_t i = chance(t, SHARED);
    pthread_mutex_lock(&shared_locks[i]);
    if (chance(t, 2) != 0) { /* swap with one of my own: I free what another one took */
        struct record *mine = &t->own[chance(t, OWN)], swap = *mine;
        *mine = shared[i];
        shared[i] = swap;
    } else {
        step_on(t, &shared[i]);
    }
    pthread_mutex_unlock(&shared_locks[i]);
}

static void *trace(void *argument) {
    struct tracer *t = argument;
    t->rng = check_rng_seed(t->seed);
    for (unsigned i = 0; i < steps; i++) {
        if (chance(t, 4) == 0)
            meet_shared(t);
        else
            step_on(t, &t->own[chance(t, OWN)]);
    }
    for (int i = 0; i < OWN; i++) /* half of them stay behind, for others to free */
        if (t->own[i].block != NULL && i % 2 == 0)
            give(t, &t->own[i]);
    return NULL;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static int64_t live_blocks(void) {
    int64_t live = COUNT(big_live_blocks);
    for (unsigned c = 0; c < hak_classes.count; c++)
        live += live_of(c);
    return live;
}

static unsigned run_waves(unsigned threads, unsigned seed) {
    static struct tracer tracers[THREADS];
    unsigned bad = 0;
    for (unsigned wave = 0; wave < WAVES; wave++) {
        for (unsigned i = 0; i < threads; i++)
            tracers[i].seed = seed * 1000 + wave * 10 + i;
        if (threads == 1)
            trace(&tracers[0]);
        else
            run_threads(threads, trace, tracers, sizeof tracers[0]);
    }
    for (unsigned i = 0; i < threads; i++) {
        for (int k = 0; k < OWN; k++)
            if (tracers[i].own[k].block != NULL)
                give(&tracers[i], &tracers[i].own[k]);
        bad += tracers[i].bad;
        tracers[i].bad = 0;
    }
    for (int i = 0; i < SHARED; i++)
        if (shared[i].block != NULL)
            give(&tracers[0], &shared[i]);
    return bad + tracers[0].bad;
}

static unsigned threads, bad;

/* In a thread of its own, so that no heap is left when it is done. */
static void *run_seeds(void *unused) {
    for (unsigned seed = 1; seed <= rounds_of(2); seed++) {
        int64_t live = live_blocks();
        unsigned wrong = run_waves(threads, seed);
        if (live_blocks() != live)
            fprintf(stderr, "  seed %u: %ld blocks are lost\n", seed, (long)(live_blocks() - live));
        if (wrong != 0)
            fprintf(stderr, "  seed %u: %u words, sizes or alignments were wrong\n", seed, wrong);
        bad += wrong + (live_blocks() != live);
    }
    return unused;
}

static int64_t blocks_in_mixed(const char *unit) {
    const struct hak_granules *granules = hak_mixed_granules(hak_mixed_name(unit));
    int64_t blocks = 0;
    for (unsigned i = 0; i < HAK_GRANULES; i++)
        blocks += granules->begins[i] != 0;
    return blocks;
}

/* All threads have ended: blocks are on a list of their slab, or nowhere. */
static int64_t blocks_away_from_home(void) {
    int64_t away = 0;
    hak_mixed_tick(); /* what came late comes home */
    for (size_t unit = 0; unit < hak_min(hak_zone.units, 1 << 16); unit++) {
        uint32_t word = hak_load_relaxed(&hak_zone.map[unit]);
        if (word >> HAK_TAG_SHIFT == HAK_TAG_MIXED)
            away += blocks_in_mixed(hak_unit_address(unit));
        if (word >> HAK_TAG_SHIFT != HAK_TAG_NOBODY)
            continue;
        struct hak_slab *slab = hak_slab_of_unit(unit);
        away += (int64_t)slab->used - (int64_t)hak_remote_count(slab);
    }
    return away;
}

static int64_t bytes_of_direct_blocks(void) {
    int64_t bytes = 0;
    for (unsigned c = hak_classes.mid_count; c < hak_classes.regular_count; c++)
        if (hak_ace_is_direct(c))
            bytes += CLASS_COUNT(c, mapped_class_bytes);
    return bytes;
}

static uint32_t reclaim_stop;

static void *reclaim_again_and_again(void *unused) {
    while (!hak_load_acquire(&reclaim_stop)) {
        hak_reclaim();
        sched_yield();
    }
    return unused;
}

static void run_seeds_while_memory_is_reclaimed(void) {
    pthread_t reclaimer;
    pthread_create(&reclaimer, NULL, reclaim_again_and_again, NULL);
    run_thread(run_seeds, NULL);
    hak_store_release(&reclaim_stop, 1);
    pthread_join(reclaimer, NULL);
}

static int child(unsigned thread_count) {
    for (int i = 0; i < SHARED; i++)
        pthread_mutex_init(&shared_locks[i], NULL);
    steps = 1500;
    threads = thread_count;
    if (getenv("HAK_TEST_RECLAIM") != NULL)
        run_seeds_while_memory_is_reclaimed();
    else
        run_thread(run_seeds, NULL);
    if (blocks_away_from_home() != 0)
        fprintf(stderr, "  %ld blocks never came home\n", (long)blocks_away_from_home());
    if (bytes_of_direct_blocks() != 0)
        fprintf(stderr, "  %ld bytes of spans never came back\n", (long)bytes_of_direct_blocks());
    if (COUNT(integrity_errors) != 0)
        fprintf(stderr, "  %ld integrity errors\n", (long)COUNT(integrity_errors));
    return bad != 0 || blocks_away_from_home() != 0 || bytes_of_direct_blocks() != 0 ||
           COUNT(integrity_errors) != 0;
}

/* ---- settings ----------------------------------------------------------------------------------
 */

/* Runs this program with the variables (separated by blanks) set; true when it found nothing. */
static bool holds_with(const char *variables, const char *threads) {
    char text[300], *rest = NULL;
    snprintf(text, sizeof text, "%s", variables);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        for (char *v = strtok_r(text, " ", &rest); v != NULL; v = strtok_r(NULL, " ", &rest))
            putenv(v);
        execl("/proc/self/exe", "test_traces", "--child", threads, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0)
        fprintf(stderr, "  with \"%s\", threads %s: wait status %#x\n", variables, threads, status);
    return status == 0;
}

static void holds_in_one_and_in_many_threads(const char *variables) {
    CHECK(holds_with(variables, "1"));
    CHECK(holds_with(variables, "4"));
}

#define SETTING(name, variables) \
    static void name(void) { \
        holds_in_one_and_in_many_threads(variables); \
    }

SETTING(blocks_keep_their_contents, "")
SETTING(blocks_keep_their_contents_in_pow2_classes, "HAKMEM_TINY_GEOMETRY=pow2")
SETTING(blocks_keep_their_contents_in_small_superslabs, "HAKMEM_SUPERSLAB_LG=19")
SETTING(blocks_keep_their_contents_in_small_superslabs_of_pow2_classes,
        "HAKMEM_TINY_GEOMETRY=pow2 HAKMEM_SUPERSLAB_LG=19 HAKMEM_FRONT_CAP=16")
SETTING(blocks_keep_their_contents_without_empty_reuse, "HAKMEM_SS_EMPTY_REUSE=0")
SETTING(blocks_keep_their_contents_without_adoption,
        "HAKMEM_TINY_SS_ADOPT=0 HAKMEM_SS_EMPTY_SCAN_LIMIT=4096")
SETTING(blocks_keep_their_contents_when_mapping_comes_before_adopting, "HAKMEM_MUST_ADOPT=0")
SETTING(blocks_keep_their_contents_at_soft_caps,
        "HAKMEM_TINY_CAP_C5=1 HAKMEM_TINY_CAP_C8=2 HAKMEM_TINY_CAP_C12=1 HAKMEM_TINY_CAP_C20=3")
SETTING(blocks_keep_their_contents_in_legacy_alone, "HAKMEM_SUPERSLAB=0")
SETTING(blocks_keep_their_contents_in_minimal_mode, "HAKMEM_MODE=minimal")
SETTING(blocks_keep_their_contents_with_the_shortest_lists,
        "HAKMEM_FRONT_CAP=8 HAKMEM_FRONT_CAP_MULTIPLIER=1 HAKMEM_FRONT_REFILL=1")
SETTING(blocks_keep_their_contents_with_the_longest_lists,
        "HAKMEM_FRONT_CAP=4096 HAKMEM_FRONT_CAP_MULTIPLIER=16 HAKMEM_FRONT_REFILL=1024")
SETTING(blocks_keep_their_contents_with_a_low_threshold, "HAKMEM_MMAP_THRESHOLD=65536")
SETTING(blocks_keep_their_contents_in_learning_mode, "HAKMEM_MODE=learning")

SETTING(blocks_keep_their_contents_when_most_are_sampled, "HAKMEM_SAMPLE_BYTES=64")
SETTING(blocks_keep_their_contents_while_everything_is_learnt,
        "HAKMEM_MODE=learning HAKMEM_LEARN_WINDOW_MS=10 HAKMEM_LEARN_MIN_SAMPLES=1 "
        "HAKMEM_ACE_ENABLED=1")
SETTING(blocks_keep_their_contents_when_idle_memory_goes_back_at_once, "HAKMEM_PURGE_IDLE_MS=10")
SETTING(blocks_keep_their_contents_while_memory_is_reclaimed, "HAK_TEST_RECLAIM=1")
SETTING(blocks_keep_their_contents_while_memory_is_reclaimed_in_pow2_classes,
        "HAK_TEST_RECLAIM=1 HAKMEM_TINY_GEOMETRY=pow2 HAKMEM_SUPERSLAB_LG=19 HAKMEM_FRONT_CAP=16")

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "--child") == 0)
        return child((unsigned)atoi(argv[2]));
    CHECK_MAIN(argc, argv);
    RUN(blocks_keep_their_contents);
    RUN(blocks_keep_their_contents_in_pow2_classes);
    RUN(blocks_keep_their_contents_in_small_superslabs);
    RUN(blocks_keep_their_contents_in_small_superslabs_of_pow2_classes);
    RUN(blocks_keep_their_contents_without_empty_reuse);
    RUN(blocks_keep_their_contents_without_adoption);
    RUN(blocks_keep_their_contents_when_mapping_comes_before_adopting);
    RUN(blocks_keep_their_contents_at_soft_caps);
    RUN(blocks_keep_their_contents_in_legacy_alone);
    RUN(blocks_keep_their_contents_in_minimal_mode);
    RUN(blocks_keep_their_contents_with_the_shortest_lists);
    RUN(blocks_keep_their_contents_with_the_longest_lists);
    RUN(blocks_keep_their_contents_with_a_low_threshold);
    RUN(blocks_keep_their_contents_in_learning_mode);
    RUN(blocks_keep_their_contents_when_most_are_sampled);
    RUN(blocks_keep_their_contents_while_everything_is_learnt);
    RUN(blocks_keep_their_contents_when_idle_memory_goes_back_at_once);
    RUN(blocks_keep_their_contents_while_memory_is_reclaimed);
    RUN(blocks_keep_their_contents_while_memory_is_reclaimed_in_pow2_classes);
    return check_report();
}
