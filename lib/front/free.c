/*
 * free.c - frees that no list of the thread takes: another thread's block, a big or a sampled
 * one, a thread without lists, an address that nobody handed out. errno is preserved.
 */
#include "front/front.h"

#include "core/codes.h"
#include "core/config.h"
#include "front/deal.h"
#include "front/nested.h"
#include "front/sites.h"
#include "mid/ace.h"
#include "mid/big.h"
#include "mid/growing.h"
#include "mid/usable.h"
#include "os/os.h"
#include "slab/legacy.h"
#include "slab/sampled.h"

void hak_front_count_direct_free(unsigned class)
{
    struct hak_front *front = &hak_front;
    if (class >= front->classes)
        hak_front_come_above(front);
    if (front->heap != NULL)
        hak_count_class(front->block, class, direct_frees, 1);
    else
        hak_gauge_class_add(class, direct_frees, 1);
}

static void free_single(unsigned class, void *block)
{
    *(void **)block = NULL;
    hak_front_count_direct_free(class);
    hak_front_give_back(class, block, 1);
}

/* Nothing is ever read from such an address. HAKMEM_SAFE_FREE asks the kernel, so that the event
 * tells a wild pointer (got 0) from somebody else's memory (got 1). */
static HAK_COLD void free_foreign(void *block)
{
    hak_gauge_add(foreign_frees, 1);
    int is_mapped = hak_knob(safe_free) && hak_os_is_mapped(block);
    hak_integrity(HAK_INTEGRITY_BAD_FREE, block, (uint64_t)is_mapped, 0);
}

static void free_sampled(size_t unit, unsigned class, void *block)
{
    if (class == HAK_CLASS_NONE)
        class = hak_sampled_class(block);
    if (class == HAK_CLASS_NONE)
        return free_foreign(block); /* inside a block */
    hak_front_count_direct_free(class);
    hak_sample_free(unit, class, block);
}

/* By a thread that has no list for it. */
static void free_single_mixed(void *block)
{
    unsigned class = hak_mixed_class(block);
    if (class == HAK_CLASS_NONE)
        return free_foreign(block); /* inside a block */
    hak_front_count_direct_free(class);
    *(void **)block = NULL;
    hak_mixed_put(class, 1, &block);
}

static void free_growing(void *block)
{
    size_t bytes = hak_growing_free(block);
    if (bytes != 0)
        hak_front_count_direct_free(hak_growing_class(bytes));
    else
        free_foreign(block); /* inside a block */
}

static void free_unit(struct hak_front *front, size_t unit, uint32_t word, void *block)
{
    uint32_t tag = word >> HAK_TAG_SHIFT;
    unsigned class = word & HAK_CLASS_MASK;
    int is_span = tag == HAK_TAG_DIRECT || (tag == HAK_TAG_SAMPLED && class != HAK_CLASS_NONE);
    if (is_span && (uintptr_t)block % HAK_UNIT_BYTES != 0) {
        free_foreign(block); /* inside a block */
    } else if (tag == HAK_TAG_DIRECT) {
        hak_front_count_direct_free(class);
        hak_ace_direct_free(unit, class, front->shared_word != HAK_NO_WORD);
    } else if (tag == HAK_TAG_SAMPLED) {
        free_sampled(unit, class, block);
    } else if (tag == HAK_TAG_GROWING) {
        free_growing(block);
    } else if (tag == HAK_TAG_MIXED) {
        free_single_mixed(block);
    } else if (tag == HAK_TAG_LEGACY) {
        hak_legacy_free(unit, block);
    } else if (tag == HAK_TAG_SHARED || (front->heap != NULL && tag == front->heap->tag)) {
        free_single(class, block);
    } else if (front->heap == NULL) {
        hak_tiny_free_homeless(unit, class, block);
    } else {
        hak_tiny_free_remote(front->heap, unit, class, block);
    }
}

static void free_big(void *block)
{
    if (hak_sites_on)
        hak_sites_forget(block);
    hak_sample_forget(block); /* first: its address may be another's at once */
    if (hak_big_free(block) != 0)
        free_foreign(block);
}

/* The arm that the free of a block is put down to. */
static HAK_COLD struct hak_deal deal_of_free(const void *block, uint32_t word)
{
    size_t bytes = word != 0 ? hak_unit_usable(word, block) : hak_big_usable(block);
    struct hak_deal none = {0, 0, 0};
    if (bytes != 0)
        bytes--; /* a stride at an arm's threshold holds what lies below it */
    return hak_deal_concerns(bytes) ? hak_deal_block(bytes, word == 0) : none;
}

static HAK_NOINLINE void free_other(void *block, size_t unit, uint32_t word)
{
    int saved = errno;
    if (hak_front.heap == NULL && !hak_front.ended)
        hak_thread_start();
    struct hak_deal deal = {0, 0, 0};
    if (hak_unlikely(hak_policy_deals(hak_policy_now())))
        deal = deal_of_free(block, word);
    if (word != 0)
        free_unit(&hak_front, unit, word, block);
    else
        free_big(block);
    hak_deal_done(&deal);
    errno = saved;
}

/* Blocks of other threads' slabs come here in numbers; they touch no system call. */
static HAK_NOINLINE void free_unlisted(void *block, size_t unit, uint32_t word)
{
    struct hak_front *front = &hak_front;
    struct hak_heap *heap = front->heap;
    if (hak_unlikely(word == 0)) {
        if (block == NULL)
            return;
        if (hak_nested_usable(block) != 0)
            return hak_nested_free(block);
    }
    if (hak_unlikely(!hak_slow_enter(front)))
        return hak_nested_free_later(front, block);
    if (hak_likely(word - 1 < hak_unit_word(HAK_BLOCK_CAPACITY, 0) && heap != NULL &&
                   word >> HAK_TAG_SHIFT != heap->tag))
        hak_tiny_free_remote(heap, unit, word & HAK_CLASS_MASK, block);
    else
        free_other(block, unit, word);
    hak_slow_leave(front);
}

/* A block of a mixed unit goes into a list like any other; only its class takes a look. 0: there is
 * no such list, or no such block. */
HAK_INLINE int push_mixed(struct hak_front *front, void *block)
{
    unsigned class = hak_mixed_class(block);
    if (hak_unlikely(class >= front->classes ||
                     (class < hak_classes.tiny_count ? front->own_word : front->shared_word) ==
                         HAK_NO_WORD))
        return 0;
    *(void **)block = front->head[class];
    front->head[class] = block;
    if (hak_step(hak_pair_countdown(front->block, class, front_pushes)))
        hak_front_full(class);
    return 1;
}

HAK_NOINLINE void hak_free_slow(void *block)
{
    size_t unit = hak_unit_of(block);
    uint32_t word = unit < hak_zone.units ? hak_load_acquire(&hak_zone.map[unit]) : 0;
    if (word >> HAK_TAG_SHIFT != HAK_TAG_MIXED || !push_mixed(&hak_front, block))
        free_unlisted(block, unit, word);
}
