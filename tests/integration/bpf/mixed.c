/*
 * mixed.c - a probe whose operands are of every kind, with a semaphore.
 *
 * Built without optimisation, so that variables are read from memory. Fires when it is told
 * to by a line of input; says whether its semaphore counts somebody.
 */
#define _SDT_HAS_SEMAPHORES 1
#include <stdio.h>
#include <sys/sdt.h>

__extension__ unsigned short toy_mixed_semaphore __attribute__((unused, section(".probes")));
static long table[4] = {10, 20, 30, -40};

static void fire(long whole, int negative, unsigned char small)
{
    register long index asm("r12") = 3;
    STAP_PROBE5(toy, mixed, whole, negative, small, -7, table[index]);
}

int main(void)
{
    char line[16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        fire(0x1122334455667788, -2, 200);
        printf("%d\n", toy_mixed_semaphore);
        fflush(stdout);
    }
    return 0;
}
