/* A shared object for load_and_unload.c: allocates when it is loaded, in threads, and frees when it
 * is unloaded; its thread-local values have destructors that die with it. */
#include <stdlib.h>
#include <string.h>

static void *kept[50];
static __thread char *scratch;

__attribute__((constructor)) static void load(void) {
    for (int i = 0; i < 50; i++)
        kept[i] = malloc((size_t)i * 97 + 1);
}

__attribute__((destructor)) static void unload(void) {
    for (int i = 0; i < 50; i++)
        free(kept[i]);
}

/* The caller frees it. */
char *plugin_text(int number) {
    char *text = malloc(64);
    free(scratch);
    scratch = malloc(2000);
    memset(text, 'a' + number % 26, 63);
    text[63] = '\0';
    return text;
}

void plugin_end(void) {
    free(scratch);
    scratch = NULL;
}
