/* Frees addresses near blocks, in memory of the allocator that no block of it holds: far above all
 * units in use. Reported as BAD_FREE, ignored.
 * Expect: exit 0, integrity_errors 2, foreign_frees 2 */
#include "misuse.h"

int main(void) {
    uintptr_t block = (uintptr_t)hidden(malloc(100));
    free(hidden((void *)(block + ((uintptr_t)1 << 33))));
    free(hidden((void *)(block + ((uintptr_t)1 << 34) + 24)));
    free((void *)block);
    return survive();
}
