/* malloc_usable_size of what nobody handed out is 0; nothing is read or reported.
 * Expect: exit 0 */
#include "misuse.h"

static long object[8];

int main(void) {
    int on_stack;
    if (malloc_usable_size(hidden(&on_stack)) != 0 || malloc_usable_size(hidden(object)) != 0 ||
        malloc_usable_size(hidden((void *)24)) != 0)
        return 1;
    return survive();
}
