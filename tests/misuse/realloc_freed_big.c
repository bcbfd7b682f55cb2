/* realloc of a freed big block: in no table, so a new block is given and BAD_FREE reported.
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

int main(void) {
    char *block = malloc(5000000);
    free(block);
    char *moved = realloc(hidden(block), 6000000);
    if (moved == NULL)
        return 1;
    free(moved);
    return survive();
}
