/*
 * Locks its memory, as services do that must not wait for the disk: the kernel then refuses to take
 * pages back. Blocks of every tier are filled and freed, idle memory has its ticks, and calloc
 * gives zeros all the same.
 */
#include <sys/mman.h>

#include "program.h"

enum { BLOCKS = 12, SIZES = 6 };

static const size_t sizes[SIZES] = {700000, 100, 1000, 20000, 200000, 3000000};

static void *filled(size_t bytes) {
    void *block = malloc(bytes);
    EXPECT(block != NULL);
    return block != NULL ? memset(block, 0xff, bytes) : NULL;
}

static void fill_and_free(size_t bytes) {
    void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = filled(bytes);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

/* Slow paths, some of which find that it is time. */
static void pass_time(void) {
    for (int step = 0; step < 30; step++) {
        usleep(20000);
        for (size_t i = 0; i < 200; i++)
            free(opaque_pointer(malloc(opaque(2000000 + i * 4096))));
    }
}

static void expect_zeros(size_t bytes) {
    unsigned char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = calloc(1, bytes);
        EXPECT(blocks[i] != NULL && blocks[i][0] == 0 &&
               memcmp(blocks[i], blocks[i] + 1, bytes - 1) == 0);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

int main(void) {
    GUARD();
    EXPECT(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
    for (int i = 0; i < SIZES; i++)
        fill_and_free(sizes[i]);
    pass_time();
    for (int i = 0; i < SIZES; i++)
        expect_zeros(sizes[i]);
    return report();
}
