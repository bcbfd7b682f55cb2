/* The owner frees a block, and so does another thread. More blocks come home than were handed out.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *block;

static void *free_it(void *unused) {
    free(hidden(block));
    return unused;
}

static void *own_it(void *unused) {
    block = malloc(1100);
    in_a_thread(free_it, NULL);
    free(hidden(block));
    return unused;
}

int main(void) {
    in_a_thread(own_it, NULL);
    return survive();
}
