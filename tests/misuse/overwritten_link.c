/* Writes into a block after its free, when the thread has given it back to its slab: the link leads
 * out of the slab. Found where the slab's list is walked: FREE_LINK, the rest is dropped.
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
