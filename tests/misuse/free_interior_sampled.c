/* Frees addresses inside Large blocks of which one in 64 or so is sampled: BAD_FREE for each, the
 * blocks stay their owner's.
 * Environment: HAKMEM_SAMPLE_BYTES=4096
 * Expect: exit 0, integrity_errors 2000, foreign_frees 2000 */
#include "misuse.h"

int main(void) {
    for (int i = 0; i < 2000; i++) {
        unsigned char *block = malloc(400000);
        memset(block, i, 128);
        free(hidden(block + 64));
        unsigned char *other = malloc(400000);
        memset(other, i + 1, 128);
        if (block[100] != (unsigned char)i)
            return 1;
        free(other);
        free(block);
    }
    return survive();
}
