/*
 * profile_steps.c - allocates and frees at random for ever, and counts its steps where others see.
 *
 * profile_steps FILE: the first eight bytes of FILE (mapped) are the number of steps so far. The
 * requests are those of random_mixed: 8192 slots of 16 to 1040 bytes, a slot a step.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 8192
#define LEAST_BYTES 16
#define SPAN_BYTES 1025

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252u; /* xorshift64 (G. Marsaglia, 2003) */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

int main(int count, char **words)
{
    static char *slots[SLOTS];
    int file = count == 2 ? open(words[1], O_RDWR | O_CREAT, 0600) : -1;
    if (file < 0 || ftruncate(file, sizeof(uint64_t)) != 0) {
        fprintf(stderr, "usage: profile_steps FILE\n");
        return 2;
    }
    volatile uint64_t *steps =
        mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (steps == MAP_FAILED)
        return 1;
    for (;;) {
        uint64_t random = next_random();
        char **slot = &slots[random % SLOTS];
        if (*slot == NULL) {
            *slot = malloc(LEAST_BYTES + (random >> 32) % SPAN_BYTES);
            if (*slot == NULL)
                return 1;
            **slot = 1;
        } else {
            free(*slot);
            *slot = NULL;
        }
        ++*steps;
    }
}
