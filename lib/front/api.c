/*
 * api.c - the rest of the malloc family, over malloc, free and the map of classes.
 */
#define _GNU_SOURCE
#include "front/hit.h"

#include <string.h>

#include "core/codes.h"
#include "front/deal.h"
#include "front/nested.h"
#include "front/sites.h"
#include "mid/ace.h"
#include "mid/big.h"

HAK_API void free(void *block);

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

/* Bytes that the program may use of one of our blocks; 0: not ours. */
static size_t usable(const void *block)
{
    size_t unit = hak_unit_of(block);
    uint32_t word = unit < hak_zone.units ? hak_load_relaxed(&hak_zone.map[unit]) : 0;
    return word != 0 ? hak_classes.size[word & HAK_CLASS_MASK] : usable_big(block);
}

HAK_API size_t malloc_usable_size(void *block)
{
    return block != NULL ? usable(block) : 0;
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

static struct hak_block *counts(void)
{
    return hak_front.block != NULL ? hak_front.block : hak_process_block;
}

/* Blocks from here up to where they grow in place get room to grow. */
#define ROOM_FROM_BYTES HAK_SMALL_MAX_BYTES

/* A block that grows by less than double is likely to grow on, and each time all of it is
 * copied: it takes the next power of two. So such blocks also share a few classes, and what
 * one leaves serves another. */
static size_t with_room(size_t old_bytes, size_t bytes)
{
    int creeps = bytes / 2 < old_bytes;
    return creeps && bytes > ROOM_FROM_BYTES && bytes <= HAK_DIRECT_ABOVE_BYTES
               ? (size_t)2 << hak_lg(bytes - 1)
               : bytes;
}

/* What a block asks for that grows: the policy may want more room for it than that, all as long
 * as a class serves it. */
static size_t grown(size_t old_bytes, size_t bytes)
{
    if (bytes > HAK_LARGE_MAX_BYTES)
        return bytes;
    size_t slack = bytes * hak_policy_now()->realloc_slack_permille / 1000;
    size_t roomy = hak_max(with_room(old_bytes, bytes), bytes + slack);
    int is_served = hak_class_of(roomy) != HAK_CLASS_NONE ||
                    (hak_policy_deals(hak_policy_now()) && hak_deal_concerns(roomy));
    return is_served ? roomy : bytes;
}

static void *move_block(void *block, size_t old_bytes, size_t bytes, uintptr_t site)
{
    void *moved = hak_malloc_from(bytes > old_bytes ? grown(old_bytes, bytes) : bytes, site);
    if (moved == NULL)
        return NULL;
    size_t copied = hak_min(old_bytes, bytes);
    hak_count_any_scalar(counts(), realloc_moves, 1);
    hak_count_any_scalar(counts(), realloc_copied_bytes, copied);
    memcpy(moved, block, copied);
    free(block);
    return moved;
}

/* Page tables are moved, not bytes. A sample of it ends, and the new size is a new call. */
static void *move_big(void *block, size_t bytes, uintptr_t site)
{
    int saved = errno;
    hak_sample_moving(block);
    void *moved = hak_big_resize(block, bytes);
    hak_sample_moved(moved != NULL);
    errno = saved;
    if (moved == NULL)
        return NULL;
    if (hak_sites_on && moved != block) {
        hak_sites_forget(block);
        hak_sites_note_slow(moved, site, bytes, 1, 1);
    }
    struct hak_call call = {bytes, 1, site, HAK_PATH_MAP};
    return hak_sample_direct(HAK_CLASS_NONE, moved, &call);
}

/* A span grows into free neighbours, and leaves what it does not need any more. */
static int resize_span(void *block, unsigned new_class)
{
    size_t unit = hak_unit_of(block);
    uint32_t word = unit < hak_zone.units ? hak_load_relaxed(&hak_zone.map[unit]) : 0;
    unsigned class = word & HAK_CLASS_MASK;
    if (word >> HAK_TAG_SHIFT != HAK_TAG_DIRECT || !hak_ace_is_direct(new_class) ||
        !hak_ace_direct_resize(unit, class, new_class))
        return 0;
    if (class != new_class) { /* the block changes its class while it lives */
        hak_front_count_direct_free(class);
        hak_front_count_direct(new_class);
    }
    return 1;
}

/* Without a copy; NULL: it cannot, or a handler asks that has interrupted a slow path. */
static void *move_pages(void *block, size_t old_bytes, size_t bytes, uintptr_t site)
{
    unsigned old_class = hak_class_of(old_bytes), new_class = hak_class_of(bytes);
    void *moved = NULL;
    if (hak_unlikely(!hak_slow_enter(&hak_front)))
        return NULL;
    if (old_class == HAK_CLASS_NONE && new_class == HAK_CLASS_NONE)
        moved = move_big(block, bytes, site);
    else if (new_class != HAK_CLASS_NONE && resize_span(block, new_class))
        moved = block;
    hak_slow_leave(&hak_front);
    return moved;
}

static void *move(void *block, size_t old_bytes, size_t bytes, uintptr_t site)
{
    void *moved = move_pages(block, old_bytes, bytes, site);
    return moved != NULL ? moved : move_block(block, old_bytes, bytes, site);
}

/* While requests are dealt out: the move is put down to an arm that would have put the block
 * where it lies. */
static HAK_COLD void *move_dealt(void *block, size_t old_bytes, size_t bytes, uintptr_t site)
{
    size_t unit = hak_unit_of(block);
    int big = unit >= hak_zone.units || hak_load_relaxed(&hak_zone.map[unit]) == 0;
    struct hak_deal deal = hak_deal_block(old_bytes - 1, big);
    void *moved = move(block, old_bytes, bytes, site);
    hak_deal_done(&deal);
    return moved;
}

static void *resize(void *block, size_t bytes, uintptr_t site)
{
    if (block == NULL)
        return hak_malloc_from(bytes, site);
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    size_t old_bytes = usable(block);
    if (hak_unlikely(old_bytes == 0 && hak_front.in_slow)) { /* nobody can say what to copy */
        errno = ENOMEM;
        return NULL;
    }
    if (bytes <= old_bytes && bytes >= old_bytes / 2) {
        hak_count_any_scalar(counts(), realloc_stays, 1);
        return block;
    }
    if (hak_unlikely(hak_deal_concerns(old_bytes) && hak_policy_deals(hak_policy_now())))
        return move_dealt(block, old_bytes, bytes, site);
    return move(block, old_bytes, bytes, site);
}

HAK_API void *realloc(void *block, size_t bytes)
{
    return resize(block, bytes, HAK_CALL_SITE);
}

HAK_API void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (hak_unlikely(__builtin_mul_overflow(count, size, &bytes))) {
        errno = ENOMEM;
        return NULL;
    }
    return resize(block, bytes, HAK_CALL_SITE);
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
