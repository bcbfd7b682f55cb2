/* Frees an address on the stack. Nobody handed it out: counted, reported as BAD_FREE, ignored.
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

int main(void) {
    char on_stack[64] = "kept";
    free(hidden(on_stack + 16));
    if (strcmp(on_stack, "kept") != 0)
        return 1;
    return survive();
}
