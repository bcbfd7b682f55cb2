/* Frees a block of the C library's own malloc: reported as BAD_FREE, left to its owner.
 * Expect: exit 0, integrity_errors 1, foreign_frees 1 */
#include "misuse.h"

void *__libc_malloc(size_t bytes);
void __libc_free(void *block);

int main(void) {
    char *theirs = __libc_malloc(100);
    memset(theirs, 't', 100);
    free(hidden(theirs));
    if (theirs[99] != 't')
        return 1;
    __libc_free(theirs);
    return survive();
}
