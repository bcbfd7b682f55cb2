/* Frees addresses inside a big block: BAD_FREE, the block stays its owner's.
 * Expect: exit 0, integrity_errors 2, foreign_frees 2 */
#include "misuse.h"

int main(void) {
    unsigned char *block = malloc(5000000);
    block[4999999] = 7;
    free(hidden(block + 16));
    free(hidden(block + 4096));
    int end = survive();
    if (block[4999999] != 7)
        return 1;
    free(block);
    return end;
}
