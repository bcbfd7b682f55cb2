/*
 * sites.c - allocates known amounts at known places, and says where it stands.
 *
 * sites TURNS: says "ready", waits for a line, does TURNS turns, says "done", and again. Each
 * turn keeps 1000 bytes at keep(), keeps 500 at keep_zeroed(), lets 2000 go at once at drop(),
 * grows a block to 8000 in steps of 400 at grow() and then loses it, keeps 300 at keep_aligned(),
 * touches and frees 2 MiB at sweep() every tenth turn. With TURNS 0 it says "leaking", and
 * does until it is ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline)) static

SITE void keep(size_t bytes)
{
    char *block = malloc(bytes);
    memset(block, 1, bytes); /* LEAK is the line above */
}

SITE void keep_zeroed(size_t bytes)
{
    volatile char *block = calloc(1, bytes);
    block[0] = 1;
}

SITE void drop(size_t bytes)
{
    volatile char *block = malloc(bytes);
    block[0] = 1;
    free((void *)block);
}

SITE void *grow(void *block, size_t bytes)
{
    return realloc(block, bytes);
}

SITE void keep_aligned(size_t bytes)
{
    void *block;
    if (posix_memalign(&block, 64, bytes) == 0)
        *(volatile char *)block = 1;
}

SITE void sweep(void)
{
    volatile char *block = malloc(2 << 20);
    for (size_t i = 0; i < 2 << 20; i += 4096)
        block[i] = 1;
    free((void *)block);
}

SITE void turn(long i)
{
    static void *grown;
    keep(1000);
    keep_zeroed(500);
    drop(2000);
    grown = grow(i % 20 == 0 ? NULL : grown, (size_t)(i % 20 + 1) * 400);
    keep_aligned(300);
    if (i % 10 == 0)
        sweep();
}

int main(int count, char **words)
{
    char input;
    long turns = count > 1 ? atol(words[1]) : 0;
    for (long i = 0; turns == 0; i++) {
        keep(1000);
        if (i == 0)
            dprintf(1, "leaking\n");
        usleep(100);
    }
    do {
        puts("ready");
        fflush(stdout);
        if (read(0, &input, 1) != 1)
            return 0;
        for (long i = 0; i < turns; i++)
            turn(i);
        puts("done");
        fflush(stdout);
    } while (read(0, &input, 1) == 1);
    return 0;
}
