/* Writes into blocks after their free, when the thread's full list has given them back to the slab,
 * then allocates them all again. A refill that moves the slab's list whole looks at its links, and
 * ends it at the first that leads nowhere: the rest is dropped. (overwritten_link.c is the same
 * where only the fast path follows them. What other threads have linked is not looked at either.)
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

enum { MANY = 120 };

static void *abuse(void *unused) {
    void *blocks[MANY];
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(512);
    for (int i = 0; i < MANY; i++)
        free(blocks[i]);
    for (int i = 90; i < 100; i++) /* a full list gives back what was freed last */
        *(uintptr_t *)hidden(blocks[i]) = 0x4242424242424240;
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(512);
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
