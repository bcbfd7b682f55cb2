/* Frees an address inside a Tiny block. It goes into the thread's list unseen (the fast path knows
 * the slab, not the block); when the list goes home: FREE_LINK, the rest of the list is dropped.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    char *block = malloc(500);
    free(hidden(block + 16));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
