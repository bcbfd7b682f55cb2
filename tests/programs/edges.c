/* The edges of the malloc family: nothing, too much, overflow, every alignment, errno. */
#include "program.h"

static const size_t sizes[] = {0,     1,     8,      9,      16,      63,      1024,    2048,
                               2049,  4097,  32768,  65537,  262144,  262145,  1048575, 1048576,
                               40000, 70000, 100000, 500000, 2000000, 3000000, 9000000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void nothing_is_a_block_of_its_own(void) {
    void *a = malloc(opaque(0)), *b = calloc(opaque(0), 8), *c = realloc(NULL, opaque(0));
    EXPECT(a != NULL && b != NULL && c != NULL && a != b && b != c && a != c);
    free(a), free(b), free(c);
    free(NULL);
    EXPECT(malloc_usable_size(NULL) == 0);
}

static void products_that_overflow_are_refused(void) {
    static const size_t pairs[][2] = {
        {SIZE_MAX, 2},
        {(size_t)1 << 32, (size_t)1 << 32},
        {SIZE_MAX / 3, 4},
        {2, SIZE_MAX / 2 + 1}};
    char *kept = malloc(100);
    memset(kept, 'k', 100);
    for (unsigned i = 0; i < 4; i++) {
        errno = 0;
        EXPECT(calloc(opaque(pairs[i][0]), opaque(pairs[i][1])) == NULL && errno == ENOMEM);
        errno = 0;
        size_t count = opaque(pairs[i][0]), size = opaque(pairs[i][1]);
        EXPECT(reallocarray(opaque_pointer(kept), count, size) == NULL);
        EXPECT(errno == ENOMEM);
    }
    EXPECT(kept[0] == 'k' && kept[99] == 'k');
    free(kept);
}

static void what_cannot_be_is_refused(void) {
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX, (size_t)1 << 62};
    char *kept = malloc(3000000);
    void *out = &out;
    kept[2999999] = 'k';
    for (unsigned i = 0; i < 4; i++) {
        size_t bytes = opaque(huge[i]);
        errno = 0;
        EXPECT(malloc(bytes) == NULL && errno == ENOMEM);
        errno = 0;
        EXPECT(realloc(opaque_pointer(kept), bytes) == NULL && errno == ENOMEM);
        errno = 0;
        EXPECT(aligned_alloc(4096, bytes) == NULL && errno == ENOMEM);
        EXPECT(valloc(bytes) == NULL && pvalloc(bytes) == NULL && memalign(64, bytes) == NULL);
        EXPECT(posix_memalign(&out, 64, bytes) == ENOMEM && out == &out);
    }
    EXPECT(kept[2999999] == 'k');
    free(kept);
}

/* Up to 1 GiB a block is to be had; from 2^46 on there is no room for one. */
static void every_alignment_is_kept_or_refused(void) {
    for (unsigned lg = 3; lg < 64; lg++) {
        size_t align = opaque((size_t)1 << lg);
        for (unsigned i = 0; i < SIZES; i += lg > 22 ? 9 : 1) {
            char *block = NULL;
            int error = posix_memalign((void **)&block, align, sizes[i]);
            EXPECT(error == 0 || (error == ENOMEM && lg > 30));
            EXPECT(error != 0 || lg < 48);
            if (error != 0)
                continue;
            EXPECT((uintptr_t)block % align == 0 && malloc_usable_size(block) >= sizes[i]);
            if (sizes[i] != 0)
                block[0] = block[sizes[i] - 1] = 1;
            block = realloc(block, sizes[i] + 100);
            EXPECT(block != NULL && (sizes[i] == 0 || block[sizes[i] - 1] == 1));
            free(block);
        }
    }
    void *out = &out;
    EXPECT(posix_memalign(&out, opaque(24), 8) == EINVAL && out == &out);
    EXPECT(posix_memalign(&out, opaque(4), 8) == EINVAL && out == &out);
    EXPECT(posix_memalign(&out, opaque(0), 8) == EINVAL && out == &out);
}

static void free_keeps_errno(void) {
    static void *blocks[2000];
    for (unsigned i = 0; i < SIZES; i++) {
        unsigned count = sizes[i] > 50000 ? 30 : 2000;
        for (unsigned k = 0; k < count; k++)
            blocks[k] = malloc(sizes[i]);
        errno = 4242;
        for (unsigned k = 0; k < count; k++)
            free(blocks[k]);
        EXPECT(errno == 4242);
    }
}

static void the_usable_size_may_be_used(void) {
    void *blocks[SIZES];
    for (unsigned i = 0; i < SIZES; i++) {
        blocks[i] = malloc(sizes[i]);
        memset(blocks[i], (int)i, malloc_usable_size(opaque_pointer(blocks[i])));
    }
    for (unsigned i = 0; i < SIZES; i++) {
        unsigned char *block = opaque_pointer(blocks[i]);
        size_t usable = malloc_usable_size(block);
        EXPECT(usable >= sizes[i] && usable <= sizes[i] * 2 + 4096);
        EXPECT(block[0] == i && block[usable - 1] == i && block[usable / 2] == i);
        free(block);
    }
}

int main(void) {
    GUARD();
    nothing_is_a_block_of_its_own();
    products_that_overflow_are_refused();
    what_cannot_be_is_refused();
    every_alignment_is_kept_or_refused();
    free_keeps_errno();
    the_usable_size_may_be_used();
    return report();
}
