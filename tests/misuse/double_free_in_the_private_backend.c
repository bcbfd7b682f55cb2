/* Frees a block twice that the fall-back (HAKMEM_SUPERSLAB=0) has served: its unit is gone by then,
 * BAD_FREE at once.
 * Environment: HAKMEM_SUPERSLAB=0
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    void *block = malloc(1792);
    free(block);
    free(hidden(block));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
