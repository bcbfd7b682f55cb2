/* Frees an odd address inside a Tiny block: as free_interior_tiny.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    char *block = malloc(500);
    free(hidden(block + 3));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
