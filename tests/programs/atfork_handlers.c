/*
 * Handlers of fork that allocate, registered before and after the allocator has started: prepare,
 * parent and child each allocate and free in every tier, while other threads do the same.
 */
#include "program.h"

enum { THREADS = 2, FORKS = 40 };

static int stop;
static unsigned prepared, in_parent, in_child;

static void allocate_everywhere(void) {
    static const size_t sizes[] = {24, 700, 1900, 9000, 70000, 400000, 1500000};
    void *blocks[7][4];
    for (unsigned i = 0; i < 7; i++)
        for (unsigned k = 0; k < 4; k++) {
            blocks[i][k] = opaque_pointer(malloc(sizes[i]));
            EXPECT(blocks[i][k] != NULL);
            memset(blocks[i][k], 3, 24);
        }
    for (unsigned i = 0; i < 7; i++)
        for (unsigned k = 0; k < 4; k++)
            free(blocks[i][k]);
}

static void prepare(void) {
    prepared++;
    allocate_everywhere();
}

static void parent(void) {
    in_parent++;
    allocate_everywhere();
}

static void child(void) {
    in_child++;
    allocate_everywhere();
}

__attribute__((constructor(101))) static void register_early(void) {
    pthread_atfork(prepare, parent, child);
}

static void *churn_until_stopped(void *seed) {
    struct held held[100] = {0};
    uint64_t state = (uintptr_t)seed;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        churn(held, 100, 100, &state);
    let_go_all(held, 100);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    GUARD();
    allocate_everywhere();
    pthread_atfork(prepare, parent, child);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, churn_until_stopped, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < FORKS; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(60);
            allocate_everywhere();
            _exit(in_child != 2 || program_failures != 0);
        }
        EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(prepared == 2 * FORKS && in_parent == 2 * FORKS && in_child == 0);
    return report();
}
