/*
 * known.c - asks for known amounts at known sites: 16 B to 4 MiB, 1 to 10000 blocks each.
 *
 * Says "ready", waits for a line, allocates, says for each site how many bytes it asked for and
 * how many are in use, says "done", and stays until its input ends. The sites take turns; of
 * each site's blocks every third one is kept, and the others are freed when the next one comes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST 10000L
#define ARRAY_COUNT(array) (sizeof(array) / sizeof *(array))

#define COUNTS(SITE, bytes) \
    SITE(bytes, 1) SITE(bytes, 10) SITE(bytes, 100) SITE(bytes, 1000) SITE(bytes, 10000)
#define SITES(SITE) \
    COUNTS(SITE, 16) COUNTS(SITE, 160) COUNTS(SITE, 1500) COUNTS(SITE, 20000) \
    COUNTS(SITE, 150000) COUNTS(SITE, 700000) COUNTS(SITE, 4194304)

#define FUNCTION(bytes, count) \
    __attribute__((noinline)) static void *site_##bytes##_##count(void) \
    { \
        void *volatile block = malloc(bytes); \
        return block; \
    }
SITES(FUNCTION)

static struct site {
    const char *name;
    void *(*allocate)(void);
    long bytes, count;
    long done, kept;
    void *passing; /* goes when the next block comes */
} sites[] = {
#define ROW(bytes, count) \
    {"site_" #bytes "_" #count, site_##bytes##_##count, bytes, count, 0, 0, NULL},
    SITES(ROW)
};

static void turn(struct site *site)
{
    void *block = site->allocate();
    free(site->passing);
    site->passing = NULL;
    if (block == NULL)
        exit(1);
    if (site->done++ % 3 == 0)
        site->kept++;
    else
        site->passing = block;
}

int main(void)
{
    char input;
    puts("ready");
    fflush(stdout);
    if (read(0, &input, 1) != 1)
        return 0;
    for (long i = 0; i < MOST; i++)
        for (size_t s = 0; s < ARRAY_COUNT(sites); s++)
            if (i % (MOST / sites[s].count) == 0)
                turn(&sites[s]);
    for (size_t s = 0; s < ARRAY_COUNT(sites); s++) {
        free(sites[s].passing);
        printf("%s %ld %ld\n", sites[s].name, sites[s].bytes * sites[s].done,
               sites[s].bytes * sites[s].kept);
    }
    puts("done");
    fflush(stdout);
    return read(0, &input, 1) > 0;
}
