/* Frees addresses where nothing is: never read, reported as BAD_FREE, ignored.
 * Expect: exit 0, integrity_errors 5, foreign_frees 5 */
#include "misuse.h"

int main(void) {
    free(hidden((void *)8));
    free(hidden((void *)0x12345670));
    free(hidden((void *)0x4141414141414140));
    free(hidden((void *)-1));
    free(hidden((void *)0x7ffffffff000));
    return survive();
}
