/* realloc of an address that no tier handed out: a new block, nothing is copied, BAD_FREE.
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

int main(void) {
    char on_stack[64] = "kept";
    char *block = realloc(hidden(on_stack), 100);
    if (block == NULL || block == on_stack || strcmp(on_stack, "kept") != 0)
        return 1;
    memset(block, 1, 100);
    free(block);
    return survive();
}
