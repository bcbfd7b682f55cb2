/* Frees a Tiny block again after others were: the list has a loop in the middle.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

static void *abuse(void *unused) {
    void *blocks[10];
    for (int i = 0; i < 10; i++)
        blocks[i] = malloc(200);
    for (int i = 0; i < 10; i++)
        free(blocks[i]);
    free(hidden(blocks[4]));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
