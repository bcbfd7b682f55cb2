/*
 * Handlers that do what a handler may do interrupt malloc and free: after every single instruction
 * (the processor's trap flag) of calls in every tier, and, sent by another thread, in threads that
 * contend. Contents, errno and the blocks themselves are as if nothing had come.
 */
#include <sched.h>
#include <signal.h>

#include "program.h"

enum { THREADS = 2, SIGNALS = 150, STEPPED = 400, HELD = 150 };

static int stop;
static unsigned handled;

static void handle(int number) {
    int saved = errno;
    (void)number;
    errno = EIO; /* as a system call in it would */
    (void)!write(-1, "", 1);
    __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
    errno = saved;
}

static void *churn_until_stopped(void *seed) {
    struct held held[HELD] = {0};
    uint64_t state = (uintptr_t)seed;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        churn(held, HELD, 50, &state);
        errno = 4242;
        void *block = malloc(some_size(&state));
        free(opaque_pointer(block));
        EXPECT(errno == 4242);
    }
    let_go_all(held, HELD);
    return NULL;
}

static void step_through_all_tiers(void) {
    static struct held held[40];
    uint64_t state = 99;
    unsigned before = handled;
    for (unsigned i = 0; i < STEPPED; i++) {
        struct held *h = &held[next_random(&state) % 40];
        size_t bytes = some_size(&state);
        void *given = opaque_pointer(h->bytes), *taken = NULL;
        if (given != NULL)
            h->bytes = NULL;
        errno = 4242;
        STEP_ON();
        if (given != NULL)
            free(given);
        else
            taken = malloc(bytes);
        STEP_OFF();
        EXPECT(errno == 4242);
        if (taken != NULL)
            free(taken), hold(h, bytes);
    }
    let_go_all(held, 40);
    EXPECT(handled > before + STEPPED * 10);
}

int main(void) {
    pthread_t threads[THREADS];
    stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536};
    struct sigaction action = {.sa_handler = handle}; /* no SA_RESTART */
    GUARD();
    sigaction(SIGTRAP, &action, NULL);
    step_through_all_tiers();
    handled = 0;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, NULL);
    sigaltstack(&other, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, churn_until_stopped, (void *)(i + 1)) == 0);
    for (unsigned sent = 0; sent < SIGNALS; sent++) {
        pthread_kill(threads[sent % THREADS], sent % 3 == 0 ? SIGUSR2 : SIGUSR1);
        while (__atomic_load_n(&handled, __ATOMIC_RELAXED) == sent)
            sched_yield(); /* two of a kind that wait would be one */
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(handled == SIGNALS);
    return report();
}
