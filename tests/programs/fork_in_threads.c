/*
 * Threads allocate in every tier while the main thread forks again and again. Each child frees
 * what it inherited, allocates in every tier, starts threads, and forks once more.
 */
#include "program.h"

enum { THREADS = 3, HELD = 200, FORKS = 60 };

static int stop;
static struct held inherited[HELD];

static void *churn_until_stopped(void *seed) {
    struct held held[HELD] = {0};
    uint64_t state = (uintptr_t)seed;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        churn(held, HELD, 100, &state);
    let_go_all(held, HELD);
    return NULL;
}

static void *churn_a_while(void *seed) {
    struct held held[HELD] = {0};
    uint64_t state = (uintptr_t)seed;
    churn(held, HELD, 2000, &state);
    let_go_all(held, HELD);
    return NULL;
}

static int wait_for(pid_t pid) {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void live_in_child(unsigned number) {
    pthread_t thread;
    alarm(60); /* alarms are not inherited */
    churn_a_while((void *)(uintptr_t)(number + 1));
    let_go_all(inherited, HELD);
    if (number % 4 == 0) {
        EXPECT(pthread_create(&thread, NULL, churn_a_while, (void *)7) == 0);
        churn_a_while((void *)8);
        pthread_join(thread, NULL);
    }
    if (number % 8 == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            churn_a_while((void *)9);
            _exit(program_failures != 0);
        }
        EXPECT(wait_for(grandchild) == 0);
    }
    _exit(program_failures != 0);
}

int main(void) {
    pthread_t threads[THREADS];
    uint64_t state = 5;
    GUARD();
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, churn_until_stopped, (void *)(i + 100)) == 0);
    for (unsigned i = 0; i < FORKS; i++) {
        churn(inherited, HELD, 300, &state);
        pid_t child = fork();
        if (child == 0)
            live_in_child(i);
        EXPECT(child > 0 && wait_for(child) == 0);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    let_go_all(inherited, HELD);
    return report();
}
