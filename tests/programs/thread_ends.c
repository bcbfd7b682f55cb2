/*
 * Allocation where libraries do it although little is certain there: in constructors and
 * destructors of the program, at exit, and in the destructors of thread-local values, in every
 * round of them, before and after the allocator's own.
 */
#include "program.h"

enum { KEYS = 6, ROUNDS = 4, WAVES = 300, WAVE = 4, WARM_UP = 60 };

static pthread_key_t keys[KEYS];
static void *from_constructor, *from_first_constructor;
static struct held handed[WAVE]; /* blocks of ended threads */
static unsigned destructed;

struct value {
    unsigned rounds, key, slot;
    struct held held[10];
};

static void *realloc_to(void *block, size_t bytes) {
    block = realloc(block, bytes);
    EXPECT(block != NULL);
    return block;
}

/* Sets its key again, so that it is called in each round there is. */
static void destruct(void *argument) {
    struct value *old = argument, *value = malloc(sizeof *value);
    uint64_t state = old->rounds * 100 + old->key;
    EXPECT(value != NULL);
    *value = *old;
    free(old);
    churn(value->held, 10, 40, &state);
    free(realloc_to(realloc_to(NULL, 100), 5000));
    __atomic_fetch_add(&destructed, 1, __ATOMIC_RELAXED);
    if (++value->rounds < ROUNDS) {
        pthread_setspecific(keys[value->key], value);
        return;
    }
    let_go_all(value->held, 10);
    if (value->key == 0) {
        let_go(&handed[value->slot]);
        hold(&handed[value->slot], 500);
    }
    free(value);
}

static void *set_values(void *slot) {
    for (unsigned k = 0; k < KEYS; k++) {
        struct value *value = calloc(1, sizeof *value);
        value->key = k;
        value->slot = (unsigned)(uintptr_t)slot;
        pthread_setspecific(keys[k], value);
    }
    return NULL;
}

/* A thread whose first allocation of all is in a destructor. */
static void allocate_first_here(void *unused) {
    (void)unused;
    void *block = malloc(300);
    EXPECT(block != NULL);
    free(block);
}
static pthread_key_t late_key;

static void *allocate_nothing(void *unused) {
    (void)unused;
    pthread_setspecific(late_key, (void *)1);
    return NULL;
}

__attribute__((constructor(101))) static void construct_first(void) {
    from_first_constructor = malloc(77);
    memset(from_first_constructor, 1, 77);
    for (unsigned k = 0; k < KEYS / 2; k++)
        pthread_key_create(&keys[k], destruct);
}

__attribute__((constructor)) static void construct(void) {
    from_constructor = malloc(5000);
    for (unsigned k = KEYS / 2; k < KEYS; k++)
        pthread_key_create(&keys[k], destruct);
    pthread_key_create(&late_key, allocate_first_here);
}

__attribute__((destructor)) static void free_late(void) {
    void *block = malloc(2000000);
    EXPECT(block != NULL);
    free(block);
    free(from_constructor);
    free(malloc(10));
    if (program_failures != 0)
        _exit(1);
}

static void free_at_exit(void) {
    free(from_first_constructor);
    from_constructor = realloc(from_constructor, 100000);
    EXPECT(from_constructor != NULL);
}

int main(void) {
    size_t resident = 0;
    GUARD();
    atexit(free_at_exit);
    for (unsigned wave = 0; wave < WAVES; wave++) {
        pthread_t threads[WAVE + 1];
        for (uintptr_t i = 0; i < WAVE; i++)
            EXPECT(pthread_create(&threads[i], NULL, set_values, (void *)i) == 0);
        EXPECT(pthread_create(&threads[WAVE], NULL, allocate_nothing, NULL) == 0);
        for (unsigned i = 0; i <= WAVE; i++)
            pthread_join(threads[i], NULL);
        if (wave == WARM_UP)
            resident = resident_bytes();
    }
    EXPECT(destructed == WAVES * WAVE * KEYS * ROUNDS);
    EXPECT(resident_bytes() < resident + (4 << 20));
    let_go_all(handed, WAVE);
    return report();
}
