/*
 * api.c - the rest of the malloc family but realloc, over malloc, free and the map of classes.
 */
#define _GNU_SOURCE
#include "front/hit.h"

#include <string.h>

#include "front/nested.h"
#include "mid/big.h"
#include "mid/usable.h"

/* 0 also when asked from a handler that has interrupted a slow path. */
static size_t usable_big(const void *block)
{
    size_t bytes = hak_nested_usable(block);
    if (bytes != 0 || !hak_slow_enter(&hak_front))
        return bytes;
    bytes = hak_big_usable(block);
    hak_slow_leave(&hak_front);
    return bytes;
}

size_t hak_usable(const void *block)
{
    size_t unit = hak_unit_of(block);
    uint32_t word = unit < hak_zone.units ? hak_load_acquire(&hak_zone.map[unit]) : 0;
    return word != 0 ? hak_unit_usable(word, block) : usable_big(block);
}

HAK_API size_t malloc_usable_size(void *block)
{
    return block != NULL ? hak_usable(block) : 0;
}

HAK_API void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (hak_unlikely(__builtin_mul_overflow(count, size, &bytes))) {
        errno = ENOMEM;
        return NULL;
    }
    unsigned class = hak_class_of(bytes);
    void *block = hak_front.head[class];
    if (hak_unlikely(block == NULL))
        return hak_calloc_slow(bytes, HAK_CALL_SITE); /* fresh memory may be zero already */
    return memset(hak_hit(class, block, bytes, HAK_CALL_SITE), 0, bytes);
}

/* ---- alignment ------------------------------------------------------------- */

/* The smallest class whose blocks all lie at multiples of `align`. Units are 64 KiB
 * aligned, a SuperSlab's first blocks begin at 2048, and Mid has classes of its own for
 * page alignment. */
static unsigned aligned_class_of(size_t bytes, size_t align)
{
    size_t least = hak_max(bytes, align);
    unsigned class = hak_class_of(least);
    if (class == HAK_CLASS_NONE || align > HAK_UNIT_BYTES)
        return HAK_CLASS_NONE;
    while (class < hak_classes.tiny_count && (hak_classes.size[class] & (align - 1)))
        class++;
    if (class >= hak_classes.tiny_count && class < hak_classes.mid_count && align > HAK_MID_ALIGN)
        class = hak_classes.regular_count;
    while (class < hak_classes.count &&
           (hak_classes.size[class] < least || hak_classes.size[class] & (align - 1)))
        class++;
    return class < hak_classes.count ? class : HAK_CLASS_NONE;
}

static HAK_NOINLINE void *aligned_miss(size_t align, size_t bytes, uintptr_t site)
{
    if (bytes > PTRDIFF_MAX - align) {
        errno = ENOMEM;
        return NULL;
    }
    if (align <= 8 || (align == 16 && bytes > 8))
        return hak_malloc_from(bytes, site);
    hak_library_start();
    return hak_aligned_slow(aligned_class_of(bytes, align), align, bytes, site);
}

HAK_INLINE void *aligned(size_t align, size_t bytes, uintptr_t site)
{
    unsigned class;
    void *block = hak_first_aligned(align, bytes, &class);
    if (hak_unlikely(block == NULL))
        return aligned_miss(align, bytes, site);
    return hak_hit(class, block, bytes, site);
}

static HAK_NOINLINE int posix_memalign_miss(void **out, size_t align, size_t bytes, uintptr_t site)
{
    int saved = errno;
    void *block = aligned_miss(align, bytes, site);
    errno = saved;
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

static HAK_NOINLINE int posix_memalign_counted_out(void **out, unsigned class, size_t bytes,
                                                   uintptr_t site)
{
    *out = hak_pop_counted_out(class, *out, bytes, site);
    return 0;
}

HAK_API int posix_memalign(void **out, size_t align, size_t bytes)
{
    if (!hak_is_pow2(align) || align % sizeof(void *) != 0)
        return EINVAL;
    unsigned class;
    void *block = hak_first_aligned(align, bytes, &class);
    if (hak_unlikely(block == NULL))
        return posix_memalign_miss(out, align, bytes, HAK_CALL_SITE);
    *out = block;
    if (hak_take_first(class, block))
        return posix_memalign_counted_out(out, class, bytes, HAK_CALL_SITE);
    return 0;
}

void *hak_aligned_from(size_t align, size_t bytes, uintptr_t site)
{
    if (!hak_is_pow2(align)) {
        errno = EINVAL;
        return NULL;
    }
    return aligned(align, bytes, site);
}

HAK_API void *aligned_alloc(size_t align, size_t bytes)
{
    return hak_aligned_from(align, bytes, HAK_CALL_SITE);
}

HAK_API void *memalign(size_t align, size_t bytes)
{
    return hak_aligned_from(align, bytes, HAK_CALL_SITE);
}

HAK_API void *valloc(size_t bytes)
{
    return aligned(HAK_PAGE_BYTES, bytes, HAK_CALL_SITE);
}

HAK_API void *pvalloc(size_t bytes)
{
    if (bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    return aligned(HAK_PAGE_BYTES, hak_align_up(bytes, HAK_PAGE_BYTES), HAK_CALL_SITE);
}
