/* Frees an address inside a Mid block: found when the list goes back to the pool.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    char *block = malloc(10000);
    free(hidden(block + 4096));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
