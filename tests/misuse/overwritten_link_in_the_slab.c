/* Writes into blocks after their free, when the thread's full list has given them back to the slab,
 * then allocates them all again. A slab knows its free blocks by bits, and reads nothing that lies
 * in them: no harm is done. (overwritten_link.c is the same before that.) A sampled block would
 * leave the list too short to be full.
 * Environment: HAKMEM_SAMPLE_BYTES=0
 * Expect: exit 0 */
#include "misuse.h"

enum { MANY = 120 };

static void *abuse(void *unused) {
    void *blocks[MANY];
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(512);
    for (int i = 0; i < MANY; i++)
        free(blocks[i]);
    for (int i = 90; i < 100; i++) /* a full list gives back what was freed last */
        *(uintptr_t *)hidden(blocks[i]) = 0x4242424242424240;
    for (int i = 0; i < MANY; i++)
        blocks[i] = malloc(512);
    return unused;
}

int main(void) {
    in_a_thread(abuse, NULL);
    return survive();
}
