/* Frees a Mid block twice: found when the thread's list goes back to the pool.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    void *block = malloc(10000);
    free(block);
    free(hidden(block));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
