/*
 * Loads and unloads a shared object again and again, in several threads at a time; what it has
 * allocated outlives it. The argument is the object's path.
 */
#include <dlfcn.h>

#include "program.h"

enum { THREADS = 3, LOADS = 150, WARM_UP = 30 };

static const char *path;
static size_t resident;

static void *load_and_unload(void *argument) {
    for (int i = 0; i < LOADS; i++) {
        void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        EXPECT(object != NULL);
        if (object == NULL)
            return NULL;
        char *(*text)(int) = (char *(*)(int))dlsym(object, "plugin_text");
        void (*end)(void) = (void (*)(void))dlsym(object, "plugin_end");
        char *one = text(i), *other = text(i + 1);
        end();
        EXPECT(dlclose(object) == 0);
        EXPECT(one[0] == 'a' + i % 26 && one[62] == one[0] && other[0] == 'a' + (i + 1) % 26);
        free(one);
        free(other);
        EXPECT(dlopen("/nowhere/at-all.so", RTLD_NOW) == NULL);
        free(strdup(dlerror()));
        if (argument == NULL && i == WARM_UP)
            resident = resident_bytes();
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    GUARD();
    path = argc > 1 ? argv[1] : "";
    load_and_unload(NULL);
    EXPECT(resident_bytes() < resident + (4 << 20));
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, load_and_unload, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return report();
}
