/*
 * A handler that allocates and frees runs after every single instruction (the processor's trap
 * flag) of a malloc and a free that hit the thread's list. Nobody gets a block that another has,
 * and none is lost, while the handler gives back what it takes. signal_slow_steps.c does the rest.
 */
#include <signal.h>

#include "program.h"

enum { BYTES = 64, HANDED = 8, KEPT = 64 };

static void *held_by_main[KEPT];
static unsigned main_holds, steps;

static void check_apart(const void *block) {
    for (unsigned i = 0; i < main_holds; i++)
        EXPECT(held_by_main[i] != block);
}

/* Takes a block or some, looks whether they are somebody's, gives them back. */
static void handle(int number) {
    void *blocks[HANDED];
    unsigned count = 1 + steps % 3;
    (void)number;
    steps++;
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = malloc(BYTES);
        check_apart(blocks[i]);
        for (unsigned k = 0; k < i; k++)
            EXPECT(blocks[k] != blocks[i]);
    }
    while (count-- != 0)
        free(blocks[count]);
}

/* Enough in the list for main and handler, and not so many that it is full. */
static void fill_list(void) {
    void *blocks[24];
    for (unsigned i = 0; i < 24; i++)
        blocks[i] = malloc(BYTES);
    for (unsigned i = 0; i < 24; i++)
        free(opaque_pointer(blocks[i]));
}

int main(void) {
    struct sigaction action = {.sa_handler = handle};
    GUARD();
    fill_list();
    sigaction(SIGTRAP, &action, NULL);
    for (unsigned round = 0; round < 400; round++) {
        unsigned before = steps;
        STEP_ON();
        void *block = malloc(BYTES);
        STEP_OFF();
        EXPECT(steps > before + 8);
        check_apart(block);
        held_by_main[main_holds++] = block;
        if (main_holds < 8)
            continue;
        block = held_by_main[--main_holds];
        before = steps;
        STEP_ON();
        free(block);
        STEP_OFF();
        EXPECT(steps > before + 8);
    }
    while (main_holds != 0)
        free(held_by_main[--main_holds]);
    return report();
}
