/*
 * Signal handlers that allocate, free and resize wherever they interrupt: in a program's own code
 * and in the middle of a slow path, with its locks held.
 *
 * The handler uses the odd classes and the program the even ones, and Big is everybody's: between
 * the load and the store of a hit no list can be made whole without a price for every hit, so a
 * class that both sides use is not promised.
 */
#include <signal.h>
#include <sys/time.h>

#include "front/front.h"
#include "front/nested.h"
#include "hak.h"
#include "mid/ace.h"

enum { THREADS = 2, OWN = 64, SHARED = 32, KEPT = 24, MOST_STEPS = 4000000 };

struct record {
    unsigned char *block;
    size_t bytes;
};

struct side {
    struct check_rng rng;
    struct record *own;
    unsigned own_count, odd;
    unsigned bad;
};

static struct record of_threads[THREADS][OWN], of_handlers[THREADS][KEPT];
static unsigned char *shared_blocks[SHARED]; /* whoever takes one out frees it */
static __thread struct side *handler_side;
static uint64_t handled;
static unsigned least_steps;

static size_t chance(struct side *side, size_t n) {
    return check_rng_between(&side->rng, 0, n - 1);
}

/* Of a class of this side's; now and then a big one. */
static size_t some_size(struct side *side) {
    if (chance(side, 100) == 0)
        return 2 * HAK_MIB + chance(side, HAK_MIB);
    unsigned most = chance(side, 4) == 0 ? hak_classes.regular_count : hak_classes.tiny_count + 8;
    return hak_classes.size[chance(side, most / 2) * 2 + side->odd];
}

/* Both ends of a block tell its length. */
static void fill(struct record *r) {
    memcpy(r->block, &r->bytes, 8);
    if (r->bytes > 8)
        r->block[r->bytes - 1] = (unsigned char)r->bytes;
}

static bool holds(const unsigned char *block, size_t bytes) {
    return memcmp(block, &bytes, 8) == 0 &&
           (bytes <= 8 || block[bytes - 1] == (unsigned char)bytes);
}

static void take(struct side *side, struct record *r) {
    r->bytes = some_size(side);
    if (side->odd || chance(side, 20) != 0)
        r->block = chance(side, 8) != 0 ? hak_malloc(r->bytes) : hak_calloc(1, r->bytes);
    else if (hak_posix_memalign((void **)&r->block, 4096, r->bytes) != 0)
        r->block = NULL;
    if (r->block == NULL)
        side->bad++;
    else
        fill(r);
}

static void give(struct side *side, struct record *r) {
    side->bad += !holds(r->block, r->bytes);
    hak_free(r->block);
    r->block = NULL;
}

static void resize(struct side *side, struct record *r) {
    size_t bytes = some_size(side), kept = hak_min(bytes, r->bytes);
    unsigned char *block = hak_realloc(r->block, bytes);
    if (block == NULL) /* a big block in a handler that interrupted a slow path */
        return;
    side->bad += memcmp(block, &r->bytes, hak_min(kept, 8)) != 0;
    *r = (struct record){block, bytes};
    fill(r);
}

/* Leaves a block for anybody, and frees what lay there: mostly another thread's. */
static void swap_shared(struct side *side, struct record *r) {
    unsigned char **place = &shared_blocks[chance(side, SHARED / 2) * 2 + side->odd];
    hak_free(hak_exchange_acq_rel(place, r->block));
    r->block = NULL;
}

static void step_on(struct side *side, struct record *r) {
    if (r->block == NULL)
        take(side, r);
    else if (chance(side, 6) == 0)
        resize(side, r);
    else if (chance(side, 4) == 0)
        swap_shared(side, r);
    else
        give(side, r);
}

/* One signal, 100 us from now: a thread that is slower than that gets on all the same. */
static void set_timer(void) {
    struct itimerval once = {{0, 0}, {0, 100}};
    setitimer(ITIMER_REAL, &once, NULL);
}

static void on_signal(int number) {
    struct side *side = handler_side;
    int saved = errno;
    (void)number;
    errno = 0;
    for (int i = 0; side != NULL && i < 8; i++)
        step_on(side, &side->own[chance(side, side->own_count)]);
    if (side != NULL)
        side->bad += errno != 0 && errno != ENOMEM;
    hak_add_relaxed(&handled, 1);
    errno = saved;
    set_timer();
}

static void block_alarms(int how) {
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(how, &alarms, NULL);
}

static bool is_enough(unsigned steps) {
    return steps >= MOST_STEPS ||
           (steps >= least_steps && hak_load_relaxed(&handled) >= 500 &&
            COUNT(nested_allocs) >= 50);
}

static void give_all(struct side *side) {
    for (unsigned i = 0; i < side->own_count; i++)
        if (side->own[i].block != NULL)
            give(side, &side->own[i]);
}

static struct side sides[THREADS][2];

static void *work(void *argument) {
    struct side *side = *(struct side **)argument;
    handler_side = side + 1;
    block_alarms(SIG_UNBLOCK);
    for (unsigned steps = 0; steps % 1024 != 0 || !is_enough(steps); steps++)
        step_on(side, &side->own[chance(side, OWN)]);
    block_alarms(SIG_BLOCK);
    give_all(side);
    give_all(side + 1);
    return NULL;
}

static int64_t live_blocks(void) {
    int64_t live = COUNT(big_live_blocks);
    for (unsigned c = 0; c < hak_classes.count; c++)
        live += live_of(c);
    return live;
}

static void *run_all(void *unused) {
    struct side *arguments[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        sides[i][0] = (struct side){check_rng_seed(i), of_threads[i], OWN, 0, 0};
        sides[i][1] = (struct side){check_rng_seed(100 + i), of_handlers[i], KEPT, 1, 0};
        arguments[i] = sides[i];
    }
    least_steps = rounds_of(20000);
    set_timer();
    run_threads(THREADS, work, arguments, sizeof arguments[0]);
    for (int i = 0; i < SHARED; i++)
        hak_free(hak_exchange_acq_rel(&shared_blocks[i], NULL));
    return unused;
}

static void handlers_may_allocate_and_free_wherever_they_interrupt(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    block_alarms(SIG_BLOCK);
    int64_t live = live_blocks(), errors = COUNT(integrity_errors);
    run_thread(run_all, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK_EQ(sides[i][0].bad, 0);
        CHECK_EQ(sides[i][1].bad, 0);
    }
    CHECK(COUNT(nested_allocs) > 0);
    CHECK_EQ(COUNT(integrity_errors), errors);
    CHECK_EQ(live_blocks(), live);
}

/* ---- one thread that says it is in a slow path ----------------------------------------------- */

static void a_nested_call_is_served_apart_and_its_blocks_are_ours(void) {
    int64_t nested = COUNT(nested_allocs);
    CHECK(hak_slow_enter(&hak_front));
    unsigned char *block = hak_malloc(100 * HAK_KIB), *aligned = NULL;
    CHECK_EQ(hak_posix_memalign((void **)&aligned, 4096, 3 * HAK_MIB), 0);
    hak_slow_leave(&hak_front);
    CHECK_EQ(COUNT(nested_allocs), nested + 2);
    CHECK(hak_malloc_usable_size(block) >= 100 * HAK_KIB);
    CHECK(hak_malloc_usable_size(aligned) >= 3 * HAK_MIB);
    CHECK_EQ((uintptr_t)aligned % 4096, 0);
    block[100 * HAK_KIB - 1] = 7;
    aligned[3 * HAK_MIB - 1] = 7;
    block = hak_realloc(block, 200 * HAK_KIB);
    CHECK_EQ(block[100 * HAK_KIB - 1], 7);
    aligned = hak_realloc(aligned, 9 * HAK_MIB);
    CHECK_EQ(aligned[3 * HAK_MIB - 1], 7);
    CHECK_EQ(hak_nested_usable(block) + hak_nested_usable(aligned), 0);
    hak_free(block);
    hak_free(aligned);
}

static void the_blocks_of_nested_calls_are_handed_out_again(void) {
    CHECK(hak_slow_enter(&hak_front));
    void *first = hak_malloc(50 * HAK_KIB);
    for (int i = 0; i < 10000; i++) {
        hak_free(first);
        if (!CHECK(hak_malloc(50 * HAK_KIB) == first))
            break;
    }
    hak_free(first);
    hak_slow_leave(&hak_front);
}

static void what_a_nested_call_frees_is_freed_when_the_slow_path_is_done(void) {
    void *big = hak_malloc(5 * HAK_MIB);
    int64_t blocks = COUNT(big_live_blocks);
    CHECK(hak_slow_enter(&hak_front));
    hak_free(big);
    CHECK_EQ(COUNT(big_live_blocks), blocks);
    hak_slow_leave(&hak_front);
    CHECK_EQ(COUNT(big_live_blocks), blocks - 1);
}

static void more_than_the_arena_holds_is_refused(void) {
    CHECK(hak_slow_enter(&hak_front));
    errno = 0;
    CHECK(hak_malloc(HAK_MIB * 100) == NULL);
    CHECK_EQ(errno, ENOMEM);
    CHECK(hak_malloc(SIZE_MAX / 2) == NULL);
    hak_slow_leave(&hak_front);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_nested_call_is_served_apart_and_its_blocks_are_ours);
    RUN(the_blocks_of_nested_calls_are_handed_out_again);
    RUN(what_a_nested_call_frees_is_freed_when_the_slow_path_is_done);
    RUN(more_than_the_arena_holds_is_refused);
    RUN(handlers_may_allocate_and_free_wherever_they_interrupt);
    return check_report();
}
