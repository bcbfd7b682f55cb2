/*
 * bare.c - allocates behind functions that keep no frame pointer, one of them with a frame of a
 * size that is known at run time only. Built with -O2 -fomit-frame-pointer. It says "leaking" when
 * it has begun, and goes on until it is ended.
 */
#include <alloca.h>
#include <stdlib.h>
#include <unistd.h>

#define SITE __attribute__((noinline)) static

SITE void *innermost(void)
{
    void *volatile block = malloc(1000);
    return block;
}

SITE void with_room(int bytes)
{
    volatile char *room = alloca((size_t)bytes);
    room[0] = 1;
    innermost();
    room[bytes - 1] = 1;
}

SITE void wide(int turn)
{
    volatile char pad[300];
    pad[turn % 300] = 1;
    with_room(turn % 64 + 16);
    pad[0] = 1;
}

int main(void)
{
    for (int turn = 0;; turn++) {
        wide(turn);
        if (turn == 0 && write(1, "leaking\n", 8) != 8)
            return 1;
        usleep(100);
    }
}
