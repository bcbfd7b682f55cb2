/* Sizes that were negative numbers, and alignments that are none: refused.
 * Expect: exit 0 */
#include "misuse.h"

int main(void) {
    volatile long minus = -1;
    void *out = NULL;
    if (malloc((size_t)minus) != NULL || calloc((size_t)minus, (size_t)minus) != NULL ||
        realloc(NULL, (size_t)(minus - 4096)) != NULL || memalign(3, 8) != NULL ||
        posix_memalign(&out, 12, 8) == 0 || aligned_alloc((size_t)minus, 8) != NULL)
        return 1;
    return survive();
}
