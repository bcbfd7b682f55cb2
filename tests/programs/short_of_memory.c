/*
 * Runs under RLIMIT_AS (set by the caller): takes all the blocks of a size that there are, keeps
 * their contents, gets ENOMEM and not a crash, gives everything back and gets as much again; then
 * the same with the next size. At the end a thread starts and allocates. Arguments: the share of
 * the limit in percent that must be to be had, and the sizes.
 */
#include <sys/resource.h>

#include "program.h"

struct link {
    struct link *next;
    size_t number;
};

/* Number of blocks that there were; all are free again. */
static size_t take_all(size_t bytes) {
    struct link *list = NULL, *block;
    size_t count = 0, seen = 0;
    errno = 0;
    while ((block = malloc(bytes)) != NULL) {
        block->next = list;
        block->number = count++;
        if (bytes > sizeof *block)
            ((char *)block)[bytes - 1] = 1;
        list = block;
    }
    EXPECT(errno == ENOMEM);
    errno = 0;
    EXPECT(realloc(list, (size_t)1 << 40) == NULL && errno == ENOMEM);
    for (; list != NULL; list = block, seen++) {
        block = list->next;
        EXPECT(list->number == count - 1 - seen);
        free(list);
    }
    EXPECT(seen == count);
    return count;
}

static void *allocate(void *failed) {
    void *block = malloc(1000);
    *(int *)failed = block == NULL;
    free(block);
    return NULL;
}

int main(int argc, char **argv) {
    struct rlimit limit;
    pthread_t thread;
    int failed = 1;
    GUARD();
    getrlimit(RLIMIT_AS, &limit);
    for (int i = 2; i < argc; i++) {
        size_t bytes = strtoul(argv[i], NULL, 10);
        size_t first = take_all(bytes), again = take_all(bytes);
        EXPECT(first * bytes >= limit.rlim_cur / 100 * strtoul(argv[1], NULL, 10));
        EXPECT(again >= first - first / 8);
        fprintf(stderr, "%zu, then %zu blocks of %zu bytes\n", first, again, bytes);
    }
    void *refused = opaque_pointer(malloc(opaque((size_t)1 << 40)));
    EXPECT(refused == NULL); /* and what is only kept has gone back */
    EXPECT(pthread_create(&thread, NULL, allocate, &failed) == 0);
    pthread_join(thread, NULL);
    EXPECT(!failed);
    return report();
}
