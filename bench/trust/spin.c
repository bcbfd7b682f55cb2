// spin: work whose amount is known, for asking whether a comparison tells the truth.
//
// SPIN=103 does 3 % more than SPIN=100, to the last iteration. COUNT (argument 1) is in thousands.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *text = getenv("SPIN");
    uint64_t percent = text != NULL ? strtoull(text, NULL, 10) : 100;
    uint64_t count = (argc > 1 ? strtoull(argv[1], NULL, 10) : 10000) * 1000 / 100 * percent;
    uint64_t state = 88172645463325252u;
    for (uint64_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    printf("%llu\n", (unsigned long long)state);
    return 0;
}
