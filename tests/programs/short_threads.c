/*
 * Thousands of threads that live shortly, four at a time: each allocates in every tier, frees most
 * of it, and leaves the rest for a later thread to free. Neither memory nor address space grows
 * once as many as a few hundred have been.
 */
#include "program.h"

enum { WAVE = 4, WAVES = 1250, WARM_UP = 150, LEFT = 16, HELD = 60 };

static struct held left[WAVE][LEFT]; /* by the wave before */

static void *live_shortly(void *argument) {
    uintptr_t number = (uintptr_t)argument;
    struct held held[HELD] = {0}, *mine = left[number % WAVE];
    uint64_t state = number;
    let_go_all(mine, LEFT);
    churn(held, HELD, 300, &state);
    for (unsigned i = 0; i < LEFT; i++)
        hold(&mine[i], some_size(&state) % 3000 + 1);
    let_go_all(held, HELD);
    return NULL;
}

int main(void) {
    size_t resident = 0, space = 0;
    GUARD();
    for (uintptr_t wave = 0; wave < WAVES; wave++) {
        pthread_t threads[WAVE];
        for (uintptr_t i = 0; i < WAVE; i++) /* the one before it left `left` to another one */
            EXPECT(pthread_create(&threads[i], NULL, live_shortly,
                                  (void *)(wave * WAVE + (i + wave) % WAVE)) == 0);
        for (unsigned i = 0; i < WAVE; i++)
            pthread_join(threads[i], NULL);
        if (wave == WARM_UP)
            resident = resident_bytes(), space = address_space_bytes();
    }
    /* A leak of 3 KiB a thread would show, and not that more big blocks are in use by chance. */
    EXPECT(resident_bytes() < resident + (12 << 20));
    EXPECT(address_space_bytes() < space + (32 << 20));
    for (unsigned i = 0; i < WAVE; i++)
        let_go_all(left[i], LEFT);
    return report();
}
