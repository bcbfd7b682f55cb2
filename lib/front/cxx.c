/*
 * cxx.c - C++'s operator new and delete in all their forms, as their mangled names.
 *
 * A success is a malloc. A failure is the language's business (new handler, bad_alloc,
 * nothrow): it is passed to the C++ runtime's own operator, which ends up in our malloc
 * again and knows how to throw.
 */
#define _GNU_SOURCE
#include "front/hit.h"

#include <dlfcn.h>
#include <stdlib.h>

/* A hit needs no frame, and a miss is a jump, so that its caller is the program (front.c). */
#pragma GCC optimize("omit-frame-pointer")

/* The runtime may have been loaded privately, behind a plugin. */
static void *find_operator(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found != NULL)
        return found;
    void *runtime = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return runtime != NULL ? dlsym(runtime, name) : NULL;
}

static void *give_up(const void *nothrow)
{
    if (nothrow == NULL)
        abort(); /* a C++ program without a C++ runtime that could throw */
    return NULL;
}

static HAK_COLD void *new_failed(const char *operator_name, size_t bytes, const void *nothrow)
{
    void *(*runtime)(size_t, const void *) =
        (void *(*)(size_t, const void *))find_operator(operator_name);
    return runtime != NULL ? runtime(bytes, nothrow) : give_up(nothrow);
}

static HAK_COLD void *aligned_new_failed(const char *operator_name, size_t bytes, size_t align,
                                         const void *nothrow)
{
    void *(*runtime)(size_t, size_t, const void *) =
        (void *(*)(size_t, size_t, const void *))find_operator(operator_name);
    return runtime != NULL ? runtime(bytes, align, nothrow) : give_up(nothrow);
}

/* A miss. Reached by a jump: its return address is the program's. */
static HAK_NOINLINE void *new_slow(size_t bytes, const char *operator_name, const void *nothrow)
{
    void *block = hak_malloc_slow(bytes, HAK_CALL_SITE);
    return hak_likely(block != NULL) ? block : new_failed(operator_name, bytes, nothrow);
}

static HAK_NOINLINE void *new_aligned_slow(size_t bytes, size_t align, const char *operator_name,
                                           const void *nothrow)
{
    void *block = hak_aligned_from(align, bytes, HAK_CALL_SITE);
    return hak_likely(block != NULL) ? block
                                     : aligned_new_failed(operator_name, bytes, align, nothrow);
}

HAK_INLINE void *new_plain(size_t bytes, const char *operator_name, const void *nothrow)
{
    unsigned class = hak_class_of(bytes);
    void *block = hak_front.head[class];
    return hak_likely(block != NULL) ? hak_hit(class, block, bytes, HAK_SITE_IS_CALLER)
                                     : new_slow(bytes, operator_name, nothrow);
}

HAK_INLINE void *new_aligned(size_t bytes, size_t align, const char *operator_name,
                             const void *nothrow)
{
    unsigned class;
    void *block = hak_is_pow2(align) ? hak_first_aligned(align, bytes, &class) : NULL;
    return hak_likely(block != NULL) ? hak_hit(class, block, bytes, HAK_SITE_IS_CALLER)
                                     : new_aligned_slow(bytes, align, operator_name, nothrow);
}

#define NEW(name) \
    HAK_API void *name(size_t bytes) { return new_plain(bytes, #name, NULL); }
#define NEW_NOTHROW(name) \
    HAK_API void *name(size_t bytes, const void *nothrow) \
    { \
        return new_plain(bytes, #name, nothrow); \
    }
#define NEW_ALIGNED(name) \
    HAK_API void *name(size_t bytes, size_t align) \
    { \
        return new_aligned(bytes, align, #name, NULL); \
    }
#define NEW_ALIGNED_NOTHROW(name) \
    HAK_API void *name(size_t bytes, size_t align, const void *nothrow) \
    { \
        return new_aligned(bytes, align, #name, nothrow); \
    }

NEW(_Znwm)                                   /* new(size) */
NEW(_Znam)                                   /* new[](size) */
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)             /* new(size, nothrow) */
NEW_NOTHROW(_ZnamRKSt9nothrow_t)             /* new[](size, nothrow) */
NEW_ALIGNED(_ZnwmSt11align_val_t)            /* new(size, align) */
NEW_ALIGNED(_ZnamSt11align_val_t)            /* new[](size, align) */
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

#define DELETE(name, ...) \
    HAK_API void name(void *block, ##__VA_ARGS__) { free(block); }
#define SIZE size_t size __attribute__((unused))
#define ALIGN size_t align __attribute__((unused))
#define NOTHROW const void *nothrow __attribute__((unused))

DELETE(_ZdlPv)                               /* delete(pointer) */
DELETE(_ZdaPv)                               /* delete[](pointer) */
DELETE(_ZdlPvm, SIZE)
DELETE(_ZdaPvm, SIZE)
DELETE(_ZdlPvRKSt9nothrow_t, NOTHROW)
DELETE(_ZdaPvRKSt9nothrow_t, NOTHROW)
DELETE(_ZdlPvSt11align_val_t, ALIGN)
DELETE(_ZdaPvSt11align_val_t, ALIGN)
DELETE(_ZdlPvmSt11align_val_t, SIZE, ALIGN)
DELETE(_ZdaPvmSt11align_val_t, SIZE, ALIGN)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, ALIGN, NOTHROW)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, ALIGN, NOTHROW)
