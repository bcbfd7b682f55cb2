/*
 * realloc.c - where a block goes that changes its size: it stays, grows in place, is moved by its
 * page tables, or copied.
 */
#define _GNU_SOURCE
#include "front/front.h"

#include <string.h>

#include "core/codes.h"
#include "core/config.h"
#include "front/deal.h"
#include "front/nested.h"
#include "front/sites.h"
#include "mid/ace.h"
#include "mid/big.h"
#include "mid/growing.h"

HAK_API void free(void *block);

/* ---- by a copy ----------------------------------------------------------------------------- */

/* A block that grows by less than double is likely to grow on, and each time all of it is copied.
 * Below, classes lie close together, and a page is much. */
#define CREEPS_FROM_BYTES ((size_t)3 * HAK_KIB)

static int creeps(size_t old_bytes, size_t bytes)
{
    return bytes / 2 < old_bytes && bytes > CREEPS_FROM_BYTES && bytes <= HAK_GROWING_MOST_BYTES;
}

static int deals(size_t bytes)
{
    return hak_policy_deals(hak_policy_now()) && hak_deal_concerns(bytes);
}

/* With `least` to spare, or as much as the policy wants. */
static size_t with_room(size_t bytes, size_t least)
{
    size_t slack = bytes * hak_policy_now()->realloc_slack_permille / 1000;
    return bytes + hak_max(slack, least);
}

static size_t whole_pages(size_t bytes)
{
    return hak_align_up(bytes, HAK_PAGE_BYTES);
}

static int may_have_pages(size_t bytes)
{
    return hak_knob(realloc_pages) && hak_knob(mid_enable) && hak_knob(large_enable) &&
           hak_class_of(whole_pages(bytes)) != HAK_CLASS_NONE;
}

/* With an eighth to spare: that saves a third of the copies, and little of it is ever touched. */
static size_t roomy_pages(size_t bytes)
{
    size_t roomy = whole_pages(with_room(bytes, bytes / 8));
    return hak_class_of(roomy) != HAK_CLASS_NONE ? roomy : bytes;
}

/* What a block of the pools asks for that grows. One that creeps takes the next power of two: so
 * such blocks share a few classes, and what one leaves serves another. All as long as a class
 * serves it, or would if requests were not being dealt out. */
static size_t roomy_class(size_t old_bytes, size_t bytes)
{
    if (bytes > HAK_LARGE_MAX_BYTES)
        return bytes;
    size_t power = creeps(old_bytes, bytes) ? (size_t)2 << hak_lg(bytes - 1) : bytes;
    size_t roomy = hak_max(power, with_room(bytes, 0));
    return hak_class_of(roomy) != HAK_CLASS_NONE || deals(roomy) ? roomy : bytes;
}

static void *alloc_moved(size_t old_bytes, size_t bytes, uintptr_t site)
{
    void *moved = NULL;
    if (bytes <= old_bytes)
        return hak_malloc_from(bytes, site);
    if (creeps(old_bytes, bytes) && may_have_pages(bytes) && !deals(bytes))
        moved = hak_growing_slow(bytes, roomy_pages(bytes), site);
    return moved != NULL ? moved : hak_malloc_from(roomy_class(old_bytes, bytes), site);
}

static void *move_block(void *block, size_t old_bytes, size_t bytes, uintptr_t site)
{
    void *moved = alloc_moved(old_bytes, bytes, site);
    if (moved == NULL)
        return NULL;
    size_t copied = hak_min(old_bytes, bytes);
    hak_count_any_scalar(hak_front_counts(), realloc_moves, 1);
    hak_count_any_scalar(hak_front_counts(), realloc_copied_bytes, copied);
    memcpy(moved, block, copied);
    free(block);
    return moved;
}

/* ---- without one --------------------------------------------------------------------------- */

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

static uint32_t word_of(const void *block)
{
    size_t unit = hak_unit_of(block);
    return unit < hak_zone.units ? hak_load_acquire(&hak_zone.map[unit]) : 0;
}

/* The block changes its class while it lives. */
static void change_class(unsigned class, unsigned new_class)
{
    if (class == new_class)
        return;
    hak_front_count_direct_free(class);
    hak_front_count_direct(new_class);
}

/* Into free pages behind it, or it leaves those that it does not need any more. */
static int resize_growing(void *block, size_t old_bytes, size_t bytes)
{
    if (word_of(block) >> HAK_TAG_SHIFT != HAK_TAG_GROWING || bytes <= CREEPS_FROM_BYTES ||
        bytes > HAK_GROWING_MOST_BYTES || !may_have_pages(bytes))
        return 0;
    size_t got =
        hak_growing_resize(block, bytes, bytes > old_bytes ? roomy_pages(bytes) : bytes);
    if (got != 0)
        change_class(hak_growing_class(old_bytes), hak_growing_class(got));
    return got != 0;
}

/* A span grows into free neighbours, and leaves what it does not need any more. */
static int resize_span(void *block, unsigned new_class)
{
    uint32_t word = word_of(block);
    unsigned class = word & HAK_CLASS_MASK;
    if (word >> HAK_TAG_SHIFT != HAK_TAG_DIRECT || !hak_ace_is_direct(new_class) ||
        !hak_ace_direct_resize(hak_unit_of(block), class, new_class))
        return 0;
    change_class(class, new_class);
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
    else if (new_class != HAK_CLASS_NONE &&
             (resize_span(block, new_class) || resize_growing(block, old_bytes, bytes)))
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
    struct hak_deal deal = hak_deal_block(old_bytes - 1, word_of(block) == 0);
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
        hak_count_any_scalar(hak_front_counts(), realloc_stays, 1);
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
