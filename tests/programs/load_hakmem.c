/*
 * Opens libhakmem (the argument) beside the malloc that the program has: reading its tables starts
 * nothing, its functions work beside the others, and closing it takes nothing away.
 */
#include <dlfcn.h>

#include "program.h"

static unsigned mappings_named(const char *name) {
    char line[600];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, name) != NULL;
    fclose(maps);
    return count;
}

static void *(*their_malloc)(size_t);
static void (*their_free)(void *);

static void *use_theirs(void *unused) {
    (void)unused;
    for (size_t bytes = 1; bytes < 2000000; bytes += bytes / 2 + 1) {
        char *block = their_malloc(bytes), *ours = malloc(bytes);
        EXPECT(block != NULL && block != ours);
        memset(block, 1, bytes);
        memset(ours, 2, bytes);
        EXPECT(block[0] == 1 && block[bytes - 1] == 1);
        their_free(block);
        free(ours);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    GUARD();
    for (int i = 0; i < 3; i++) {
        void *library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
        EXPECT(library != NULL);
        if (library == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        const char *(*describe)(void) = (const char *(*)(void))dlsym(library, "hak_describe_knobs");
        EXPECT(strstr(describe(), "HAKMEM_MODE") != NULL);
        if (i == 0)
            EXPECT(mappings_named("memfd:hakmem") == 0); /* nothing has started */
        their_malloc = (void *(*)(size_t))dlsym(library, "malloc");
        their_free = (void (*)(void *))dlsym(library, "free");
        EXPECT((void *)their_malloc != (void *)malloc);
        use_theirs(NULL);
        pthread_create(&thread, NULL, use_theirs, NULL);
        EXPECT(dlclose(library) == 0);
        pthread_join(thread, NULL); /* ends after the library was closed */
    }
    return report();
}
