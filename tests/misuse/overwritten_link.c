/* Writes into a block after its free, while it is in the thread's list: the link leads out of the
 * slab. Found when the list is given back (here: the thread ends): FREE_LINK, the rest is dropped.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

enum { MANY = 60 };

static void *abuse(void *unused) {
    void *blocks[MANY];
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(1000);
    for (int i = 0; i < MANY; i++)
        free(blocks[i]);
    *(uintptr_t *)hidden(blocks[10]) = 0x4242424242424240;
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
