/* Writes one word behind a Tiny block, into the link of the free block that follows. Found where
 * that link is followed off the fast path.
 * Expect: exit 0, integrity_errors 1 */
#include "misuse.h"

enum { MANY = 20, BYTES = 512 };

static void *abuse(void *unused) {
    char *blocks[MANY], *low = NULL;
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(BYTES);
    for (int i = 0; i < MANY && low == NULL; i++)
        for (int k = 0; k < MANY; k++)
            if (blocks[k] == blocks[i] + BYTES)
                low = blocks[i];
    for (int i = 0; i < MANY; i++)
        if (blocks[i] != low)
            free(blocks[i]);
    memset(hidden(low + BYTES), 'x', sizeof(void *));
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
