/* Writes into blocks after their free, when the thread's full list has given them back to the slab,
 * then allocates them all again. A refill moves a short free list whole, without a look at its
 * links, and the fast path follows them: not detected, and a link to nowhere ends the program with
 * SIGSEGV in malloc. (overwritten_link.c is the same where links are looked at.)
 * Expect: signal 11 */
#include "misuse.h"

enum { MANY = 120 };

static void *abuse(void *unused) {
    void *blocks[MANY];
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(512);
    for (int i = 0; i < MANY; i++)
        free(blocks[i]);
    for (int i = 0; i < 10; i++)
        *(uintptr_t *)hidden(blocks[i]) = 0x4242424242424240;
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(512);
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
