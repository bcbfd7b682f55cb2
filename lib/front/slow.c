/*
 * slow.c - what lies behind a miss: refill, drain, big blocks, remote frees, foreign
 * addresses. errno is preserved by every free, and by malloc unless it fails.
 */
#include "front/front.h"

#include "core/codes.h"
#include "core/probe.h"
#include "mid/big.h"
#include "slab/legacy.h"

/* Steps until a countdown that nobody has armed runs out: never. */
#define UNBOUNDED ((uint64_t)1 << 62)

/* ---- allocation ---------------------------------------------------------- */

void *hak_pop_counted_out(unsigned class, void *block)
{
    hak_pair_arm(hak_pair_base(hak_front.block, class, front_pops), UNBOUNDED);
    return block;
}

static void *pop(struct hak_front *front, unsigned class)
{
    void *block = front->head[class];
    front->head[class] = *(void **)block;
    if (hak_step(hak_pair_countdown(front->block, class, front_pops)))
        return hak_pop_counted_out(class, block);
    return block;
}

/* The list was empty and now holds `count` blocks: so many frees until it is full. */
static void arm_pushes(struct hak_front *front, unsigned class, unsigned count)
{
    uint32_t cap = hak_policy_now()->front_cap[class];
    hak_pair_arm(hak_pair_base(front->block, class, front_pushes), cap > count ? cap - count : 1);
}

static void *without_front(struct hak_front *front, unsigned class)
{
    void *list = NULL;
    if (hak_tiny_refill(front->heap, class, &list) == 0)
        return hak_tiny_fall_back(front->heap, class);
    void *block = list;
    list = *(void **)block;
    if (list != NULL)
        hak_tiny_drain(front->heap, class, list);
    hak_count_class(front->block, class, direct_allocs, 1);
    return block;
}

static void *alloc_tiny(struct hak_front *front, unsigned class)
{
    if (front->heap == NULL) /* a thread that is ending, or has no memory to start */
        return hak_legacy_alloc(class);
    if (front->own_word == HAK_NO_WORD)
        return without_front(front, class);
    unsigned got = hak_tiny_refill(front->heap, class, &front->head[class]);
    if (got == 0)
        return hak_tiny_fall_back(front->heap, class);
    arm_pushes(front, class, got);
    return pop(front, class);
}

/* The thread's first allocation may find a list that its own start has filled. */
static void *alloc_class(unsigned class)
{
    struct hak_front *front = &hak_front;
    if (front->heap == NULL && !front->ended)
        hak_thread_start();
    if (front->head[class] != NULL)
        return pop(front, class);
    return alloc_tiny(front, class);
}

HAK_NOINLINE void *hak_malloc_slow(size_t bytes)
{
    int saved = errno;
    hak_library_start();
    unsigned class = hak_class_of(bytes);
    void *block = class != HAK_CLASS_NONE ? alloc_class(class) : hak_big_alloc(bytes, 1);
    errno = block != NULL ? saved : ENOMEM;
    return block;
}

/* ---- free ------------------------------------------------------------------ */

/* Cuts the list behind its first `keep` blocks and returns the rest. */
static void *cut_behind(void *list, unsigned keep)
{
    for (; keep > 1; keep--)
        list = *(void **)list;
    void *rest = *(void **)list;
    *(void **)list = NULL;
    return rest;
}

static unsigned length_up_to(void *list, unsigned most)
{
    unsigned count = 0;
    for (; list != NULL && count < most; list = *(void **)list)
        count++;
    return count;
}

static unsigned length_of(void *list)
{
    return length_up_to(list, ~0u);
}

static void drain(struct hak_front *front, unsigned class, void *list)
{
    unsigned blocks = length_of(list);
    hak_count_class(front->block, class, drains, 1);
    hak_count_class(front->block, class, drained, blocks);
    hak_probe_drain(class, blocks, 0);
    hak_tiny_drain(front->heap, class, list);
}

/* So many frees have come since the last look that the list may be full. What was freed
 * last stays, the older half goes. */
HAK_NOINLINE void hak_front_full(unsigned class)
{
    int saved = errno;
    struct hak_front *front = &hak_front;
    unsigned cap = hak_policy_now()->front_cap[class];
    unsigned length = length_up_to(front->head[class], cap);
    if (length >= cap - cap / 4) {
        length = cap / 2;
        drain(front, class, cut_behind(front->head[class], length));
    }
    hak_pair_arm(hak_pair_base(front->block, class, front_pushes), cap - length);
    errno = saved;
}

static void free_own(struct hak_front *front, unsigned class, void *block)
{
    *(void **)block = NULL;
    hak_count_class(front->block, class, direct_frees, 1);
    hak_tiny_drain(front->heap, class, block);
}

static void free_unit(struct hak_front *front, size_t unit, uint32_t word, void *block)
{
    uint32_t tag = word >> HAK_TAG_SHIFT;
    unsigned class = word & HAK_CLASS_MASK;
    if (tag == HAK_TAG_LEGACY)
        hak_legacy_free(unit, block);
    else if (front->heap == NULL)
        hak_tiny_free_homeless(unit, class, block);
    else if (tag == front->heap->tag)
        free_own(front, class, block);
    else
        hak_tiny_free_remote(front->heap, unit, class, block);
}

static HAK_COLD void free_foreign(void *block)
{
    hak_gauge_add(foreign_frees, 1);
    hak_integrity(HAK_INTEGRITY_BAD_FREE, block, 0, 0);
}

HAK_NOINLINE void hak_free_slow(void *block)
{
    int saved = errno;
    size_t unit = hak_unit_of(block);
    uint32_t word = unit < hak_zone.units ? hak_load_relaxed(&hak_zone.map[unit]) : 0;
    if (block == NULL)
        return;
    if (hak_front.heap == NULL && !hak_front.ended)
        hak_thread_start();
    if (word != 0)
        free_unit(&hak_front, unit, word, block);
    else if (hak_big_free(block) != 0)
        free_foreign(block);
    errno = saved;
}

/* ---- the end of a thread ----------------------------------------------------- */

void hak_front_empty_all(void)
{
    struct hak_front *front = &hak_front;
    for (unsigned class = 0; class < hak_classes.count; class++) {
        void *list = front->head[class];
        front->head[class] = NULL;
        if (list != NULL)
            drain(front, class, list);
    }
}
