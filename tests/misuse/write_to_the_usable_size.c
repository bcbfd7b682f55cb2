/* Writes all that malloc_usable_size allows, which is more than was asked for: no abuse at all.
 * Expect: exit 0 */
#include "misuse.h"

int main(void) {
    static const size_t sizes[] = {1, 9, 100, 1025, 2049, 33000, 300000, 1500000};
    char *blocks[8];
    for (int i = 0; i < 8; i++) {
        blocks[i] = malloc(sizes[i]);
        memset(blocks[i], 0xff, malloc_usable_size(hidden(blocks[i])));
    }
    for (int i = 0; i < 8; i++)
        free(blocks[i]);
    return survive();
}
