/* Frees a static object and a string constant: reported as BAD_FREE, ignored, not written to.
 * Expect: exit 0, integrity_errors 2, foreign_frees 2 */
#include "misuse.h"

static long object[8];

int main(void) {
    free(hidden(object));
    free(hidden((void *)"constant"));
    return survive();
}
