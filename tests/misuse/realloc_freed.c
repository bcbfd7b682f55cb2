/* realloc of a freed Tiny block: seen as alive, since a fitting size is not looked at further. Its
 * contents lose the link that the list keeps in it; nothing is detected, nothing crashes.
 * Expect: exit 0 */
#include "misuse.h"

int main(void) {
    char *block = malloc(1000);
    free(block);
    if (realloc(hidden(block), 990) != block)
        return 1;
    return survive();
}
