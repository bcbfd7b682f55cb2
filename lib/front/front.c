/*
 * front.c - malloc and free. A hit is: class by table, pop; owner and class by one load,
 * push. Everything else is a tail call to front/slow.
 */
#include "front/hit.h"

/* A hit calls nothing, so it needs no frame; every miss is a jump to a function that makes
 * its own, whose caller is ours. */
#pragma GCC optimize("omit-frame-pointer")

HAK_TLS struct hak_front hak_front = {.own_word = HAK_NO_WORD, .shared_word = HAK_NO_WORD};

HAK_INLINE void *alloc(size_t bytes, uintptr_t site)
{
    unsigned class = hak_class_of(bytes);
    void *block = hak_front.head[class];
    return hak_likely(block != NULL) ? hak_hit(class, block, bytes, site)
                                     : hak_malloc_slow(bytes, site);
}

/* On lines of their own: where the linker happens to put them makes four percent of a pair. */
#define AT_A_LINE __attribute__((aligned(64)))

HAK_API AT_A_LINE void *malloc(size_t bytes)
{
    return alloc(bytes, HAK_SITE_IS_CALLER);
}

/* The same by a name that nobody can come before. */
void *hak_own_malloc(size_t bytes) __attribute__((alias("malloc")));

void *hak_malloc_from(size_t bytes, uintptr_t site)
{
    return alloc(bytes, site);
}

HAK_API AT_A_LINE void free(void *block)
{
    struct hak_front *front = &hak_front;
    size_t unit = hak_unit_of(block);
    if (hak_unlikely(unit >= hak_zone.units))
        return hak_free_slow(block);
    uint32_t word = hak_load_relaxed(&hak_zone.map[unit]);
    uint32_t class = word ^ front->own_word;
    if (hak_unlikely(class >= HAK_CLASS_CAPACITY)) {
        class = word ^ front->shared_word;
        if (hak_unlikely(class >= HAK_CLASS_CAPACITY))
            return hak_free_slow(block);
    }
    *(void **)block = front->head[class];
    front->head[class] = block;
    if (hak_step(hak_pair_countdown(front->block, class, front_pushes)))
        hak_front_full(class);
}
