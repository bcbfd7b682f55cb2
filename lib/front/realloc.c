/*
 * realloc.c - where a block goes that changes its size: it stays, grows in place, is moved by its
 * page tables, or copied.
 */
#define _GNU_SOURCE
#include "front/front.h"

#include <string.h>

#include "core/codes.h"
#include "front/deal.h"
#include "front/nested.h"
#include "front/sites.h"
#include "mid/ace.h"
#include "mid/big.h"

HAK_API void free(void *block);

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
    size_t old_bytes = hak_usable(block);
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
