/* Frees addresses inside a Large block (a span of its own): BAD_FREE, the block stays its owner's.
 * Expect: exit 0, integrity_errors 2, foreign_frees 2 */
#include "misuse.h"

int main(void) {
    unsigned char *block = malloc(600000);
    memset(block, 7, 600000);
    free(hidden(block + 64));
    free(hidden(block + 3 * 65536));
    int end = survive();
    for (int i = 0; i < 600000; i++)
        if (block[i] != 7)
            return 1;
    free(block);
    return end;
}
