/* Frees a big block twice: the second time it is in no table, BAD_FREE at once.
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

int main(void) {
    void *block = malloc(5000000);
    free(block);
    free(hidden(block));
    return survive();
}
