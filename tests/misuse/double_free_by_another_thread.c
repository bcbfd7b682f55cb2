/* A thread frees another one's block twice. Found when the owner takes it in.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *block;

static void *free_it_twice(void *unused) {
    free(hidden(block));
    free(hidden(block));
    return unused;
}

static void *own_it(void *unused) {
    block = malloc(1100);
    in_a_thread(free_it_twice, NULL);
    free(malloc(1100));
    return unused;
}

int main(void) {
    in_a_thread(own_it, NULL);
    return survive();
}
