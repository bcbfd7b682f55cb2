/* Writes into a block right after its free, while it is the first of the thread's own list. The
 * fast path follows that link unchecked: the second malloc of the class reads where it leads to.
 * Not detected; a link to nowhere ends the program there and then, with SIGSEGV in malloc.
 * Expect: signal 11 */
#include "misuse.h"

int main(void) {
    void *block = malloc(1000);
    free(block);
    *(uintptr_t *)hidden(block) = 0x4242424242424240;
    if (malloc(1000) != block)
        return 1;
    free(malloc(1000));
    return survive();
}
