// floor.c - the least that an allocator can do: no program's time falls below what it takes here.
//
// A library to preload like any other (`hakmem bench --peers floor,...`), so that a row shows how
// much of its time is the workload's own. A block's class stands in a word before it; a thread pops
// and pushes one list per class; what is freed by another thread stays with that one. Nothing is
// counted, checked, locked or given back, and a list is never looked at. No program should run on
// it: memory only grows. Its compiler must not know malloc (-fno-builtin).
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 16, EXACT_MAX = 1024, EXACT = EXACT_MAX / ALIGN, CLASSES = EXACT + 4 * 54 };
static const size_t page_bytes = 4096, huge_bytes = 2 << 20, chunk_bytes = 4 << 20;

static __thread void *head[CLASSES + 1];
static __thread char *fresh, *fresh_end;

static unsigned class_of(size_t bytes)
{
    if (bytes <= EXACT_MAX)
        return (unsigned)((bytes + ALIGN - 1) / ALIGN);
    unsigned lg = 63 - (unsigned)__builtin_clzl(bytes - 1);
    return EXACT + 1 + (lg - 10) * 4 + (((bytes - 1) >> (lg - 2)) & 3);
}

static size_t bytes_of(unsigned class)
{
    unsigned above = class - EXACT - 1;
    return class <= EXACT ? (size_t)class * ALIGN : (size_t)(5 + above % 4) << (8 + above / 4);
}

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

// Large blocks begin on a page, or on a huge page where they can fill one.
static char *map_large(size_t bytes)
{
    size_t align = bytes >= huge_bytes ? huge_bytes : page_bytes;
    char *start = map(bytes + 2 * align);
    if (start == NULL)
        return NULL;
    char *block = (char *)(((uintptr_t)start + ALIGN + align - 1) & ~(uintptr_t)(align - 1));
    if (bytes >= huge_bytes)
        madvise(block, bytes, MADV_HUGEPAGE);
    return block;
}

static char *cut(size_t bytes)
{
    if (fresh == NULL || (size_t)(fresh_end - fresh) < bytes + ALIGN) {
        if ((fresh = map(chunk_bytes)) == NULL)
            return NULL;
        fresh_end = fresh + chunk_bytes;
    }
    char *block = fresh + ALIGN;
    fresh = block + bytes;
    return block;
}

static void *give_class(char *block, unsigned class)
{
    if (block == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    ((uint64_t *)block)[-1] = class;
    return block;
}

static __attribute__((noinline)) void *fill(unsigned class)
{
    size_t bytes = bytes_of(class);
    if (class > CLASSES)
        return give_class(NULL, class);
    return give_class(bytes >= 16 * page_bytes ? map_large(bytes) : cut(bytes), class);
}

void *malloc(size_t bytes)
{
    unsigned class = class_of(bytes + (bytes == 0));
    void *block = class <= CLASSES ? head[class] : NULL;
    if (__builtin_expect(block == NULL, 0))
        return fill(class);
    head[class] = *(void **)block;
    return block;
}

void free(void *block)
{
    if (block == NULL)
        return;
    uint64_t class = ((uint64_t *)block)[-1];
    *(void **)block = head[class];
    head[class] = block;
}

void *calloc(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return give_class(NULL, 0);
    void *block = malloc(total);
    return block != NULL ? memset(block, 0, total) : NULL;
}

void *realloc(void *block, size_t bytes)
{
    size_t room = block != NULL ? bytes_of((unsigned)((uint64_t *)block)[-1]) : 0;
    if (block != NULL && bytes <= room)
        return block;
    void *grown = malloc(bytes);
    if (grown != NULL && block != NULL) {
        memcpy(grown, block, room);
        free(block);
    }
    return grown;
}

// What lies before an aligned block is lost; its class is one that fits into what lies behind.
void *aligned_alloc(size_t align, size_t bytes)
{
    char *block = malloc(bytes + align);
    if (block == NULL || align <= ALIGN)
        return block;
    char *aligned = (char *)(((uintptr_t)block + align - 1) & ~(uintptr_t)(align - 1));
    unsigned class = class_of(bytes + (bytes == 0));
    if (aligned != block)
        class -= bytes_of(class) > bytes + align - (size_t)(aligned - block);
    return give_class(aligned, class);
}

int posix_memalign(void **block, size_t align, size_t bytes)
{
    int saved = errno;
    *block = aligned_alloc(align, bytes);
    errno = saved;
    return *block != NULL ? 0 : ENOMEM;
}

void *memalign(size_t align, size_t bytes)
{
    return aligned_alloc(align, bytes);
}
