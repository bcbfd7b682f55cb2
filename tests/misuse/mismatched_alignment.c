/* Asks for an over-aligned block and frees the address behind the first alignment step, as if the
 * block began there: found when the list goes home.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    char *block = aligned_alloc(256, 700);
    free(hidden(block + 256));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
