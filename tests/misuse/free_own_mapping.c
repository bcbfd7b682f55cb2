/* Frees a mapping of the program's own: reported as BAD_FREE; it stays mapped.
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

int main(void) {
    char *own = mmap(NULL, 1 << 21, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    own[5] = 5;
    free(hidden(own));
    if (own[5] != 5)
        return 1;
    return survive();
}
