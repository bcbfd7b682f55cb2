/* Reads and writes a big block after its free: it is kept for the next one, so this hits no wall,
 * and the next owner of the memory gets what was written.
 * Expect: exit 0 */
#include "misuse.h"

int main(void) {
    char *block = malloc(2000000);
    block[0] = 1;
    free(block);
    *(char *)hidden(block) = 2;
    char *next = calloc(1, 2000000); /* zeroed all the same */
    if (next[0] != 0)
        return 1;
    free(next);
    return survive();
}
