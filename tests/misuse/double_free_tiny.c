/* Frees a Tiny block twice. The thread's list becomes a ring, so that until it is given back two
 * owners could get the block. When it goes back (here: the thread ends) the block comes home for
 * the second time: COUNT, and the list is given up, not followed.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    void *block = malloc(1000), *other = malloc(1000);
    free(other);
    free(block);
    free(hidden(block));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
