/* Frees a Large block (a span of its own) twice: nobody holds it any more, BAD_FREE at once.
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

int main(void) {
    void *block = malloc(600000);
    free(block);
    free(hidden(block));
    return survive();
}
