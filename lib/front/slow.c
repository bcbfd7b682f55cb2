/*
 * slow.c - what lies behind a miss: refill, single blocks, big ones. errno is preserved unless
 * malloc fails.
 */
#include "front/front.h"

#include <string.h>

#include "core/codes.h"
#include "core/config.h"
#include "front/control.h"
#include "front/deal.h"
#include "front/lists.h"
#include "front/nested.h"
#include "front/note.h"
#include "front/sites.h"
#include "mid/ace.h"
#include "mid/big.h"
#include "mid/growing.h"
#include "os/os.h"
#include "slab/legacy.h"
#include "slab/mixed.h"

/* A look at the clock costs as much as a refill: one in so many is not felt. */
#define SLOW_PATHS_A_TICK 64

/* ---- allocation ---------------------------------------------------------- */

HAK_NOINLINE void *hak_pop_counted_out(unsigned class, void *block, size_t bytes, uintptr_t site)
{
    struct hak_front *front = &hak_front;
    struct hak_call call = {bytes, 1, site != HAK_SITE_IS_CALLER ? site : HAK_CALL_SITE,
                            HAK_PATH_FRONT};
    if (hak_unlikely(!hak_slow_enter(front))) {
        hak_pair_arm(hak_pair_base(front->block, class, front_pops), HAK_LOOK_AGAIN);
        return block;
    }
    block = hak_sample_popped(class, block, &call);
    hak_slow_leave(front);
    return block;
}

void hak_front_put_back(unsigned class, void *block)
{
    struct hak_front *front = &hak_front;
    *(void **)block = front->head[class];
    front->head[class] = block;
    front->extra[class]++;
}

static void *pop(struct hak_front *front, unsigned class, const struct hak_call *call)
{
    void *block = front->head[class];
    front->head[class] = *(void **)block;
    if (hak_step(hak_pair_countdown(front->block, class, front_pops)))
        return hak_sample_popped(class, block, call);
    return block;
}

void hak_front_count_direct(unsigned class)
{
    struct hak_front *front = &hak_front;
    if (front->heap != NULL)
        hak_count_class(front->block, class, direct_allocs, 1);
    else
        hak_gauge_class_add(class, direct_allocs, 1);
}

static void *fall_back(struct hak_front *front, unsigned class, struct hak_call *call)
{
    call->path = HAK_PATH_LEGACY;
    void *block = hak_tiny_fall_back(front->heap, class);
    return block != NULL ? hak_sample_direct(class, block, call) : NULL;
}

static void *without_front(struct hak_front *front, unsigned class, struct hak_call *call)
{
    void *list = NULL;
    if (hak_tiny_refill(front->heap, class, &list) == 0)
        return fall_back(front, class, call);
    void *block = list;
    hak_tiny_drain(front->heap, class, *(void **)block, HAK_WHOLE_LIST);
    hak_count_class(front->block, class, direct_allocs, 1);
    call->path = front->heap->path;
    return hak_sample_direct(class, block, call);
}

static void *alloc_tiny(struct hak_front *front, unsigned class, struct hak_call *call)
{
    if (front->heap == NULL) /* a thread that is ending, or has no memory to start */
        return hak_legacy_alloc(class);
    if (front->own_word == HAK_NO_WORD)
        return without_front(front, class, call);
    void *list = NULL;
    hak_list_look_for_idle(front);
    unsigned got = hak_tiny_refill_used(front->heap, class, &list);
    if (hak_unlikely(got == 0)) {
        hak_list_drain_idle(front);
        hak_tiny_visit_others(front->heap);
        got = hak_tiny_refill_new(front->heap, class, &list);
    }
    if (got == 0)
        return fall_back(front, class, call);
    hak_nested_set_list(front, class, list);
    hak_list_refilled(front, class, got);
    call->path = front->heap->path;
    return pop(front, class, call);
}

static void *alloc_big(size_t align, struct hak_call *call, int *zeroed)
{
    void *block = hak_big_alloc(call->bytes, align, call->site, zeroed);
    if (block == NULL)
        return NULL;
    call->path = *zeroed ? HAK_PATH_MAP : HAK_PATH_BIGCACHE;
    return hak_sample_direct(HAK_CLASS_NONE, block, call);
}

/* Runs are mapped more often than slabs are: idle lists are looked for at one in so many. */
#define RUNS_A_DRAIN 8

static int is_time_to_drain(struct hak_front *front, unsigned class)
{
    return front->block != NULL && !hak_ace_is_direct(class) && !hak_ace_has_room(class) &&
           ++front->runs % RUNS_A_DRAIN == 0;
}

/* Holes that Tiny has left serve the smallest classes of Mid before a run is mapped for them. */
static int refill_mixed(struct hak_front *front, unsigned class,
                        const struct hak_ace_request *request)
{
    void *list = NULL;
    if (!request->keeps || front->heap == NULL || !hak_mixed_serves(class) ||
        hak_ace_has_room(class))
        return 0;
    unsigned got = hak_tiny_refill_mixed(front->heap, class, request->want, &list);
    if (got == 0)
        return 0;
    hak_nested_set_list(front, class, list);
    hak_list_refilled(front, class, got);
    return 1;
}

/* A thread without a front takes and gives single blocks. */
static void *alloc_ace(struct hak_front *front, unsigned class, struct hak_call *call, int *zeroed)
{
    struct hak_ace_answer answer;
    hak_front_come_above(front);
    hak_sample_class(class);
    struct hak_ace_request request = {
        .class = class,
        .bytes = hak_max(call->bytes, call->align),
        .align = call->align,
        .seat = front->heap != NULL ? front->heap->tag : 0,
        .want = front->shared_word != HAK_NO_WORD ? hak_policy_now()->front_refill[class] : 1,
        .keeps = front->shared_word != HAK_NO_WORD,
        .counts = hak_front_counts(),
    };
    if (!hak_ace_is_direct(class))
        hak_list_look_for_idle(front);
    if (is_time_to_drain(front, class))
        hak_list_drain_idle(front);
    if (refill_mixed(front, class, &request)) {
        call->path = HAK_PATH_MIXED;
        return pop(front, class, call);
    }
    if (!hkm_ace_alloc(&request, &answer))
        return alloc_big(call->align, call, zeroed);
    if (answer.block == NULL)
        return NULL;
    if (answer.rest_count != 0) {
        hak_nested_set_list(front, class, answer.rest);
        hak_list_refilled(front, class, answer.rest_count);
    }
    hak_front_count_direct(answer.class);
    *zeroed = answer.zeroed;
    call->path = answer.path;
    return hak_sample_direct(answer.class, answer.block, call);
}

/* What slow paths do for the process, besides what they are for. */
static void look_around(struct hak_front *front)
{
    if (hak_unlikely(hak_control_waits()))
        hak_control_answer();
    if (hak_unlikely(++front->slow_paths % SLOW_PATHS_A_TICK == 0))
        hak_tick();
}

static void *alloc_class(unsigned class, struct hak_call *call, int *zeroed)
{
    struct hak_front *front = &hak_front;
    if (front->heap == NULL && !front->ended)
        hak_thread_start();
    look_around(front);
    hak_sample_follow_policy();
    if (front->head[class] != NULL) /* filled by the thread's own start */
        return pop(front, class, call);
    if (class < hak_classes.tiny_count)
        return alloc_tiny(front, class, call);
    return alloc_ace(front, class, call, zeroed);
}

/* One tier may hold address space that another one lacks: all of it free, and of no use to
 * the program while malloc fails. Each time there is less to reclaim, so this ends. */
static HAK_NOINLINE int may_try_again(size_t bytes)
{
    return bytes <= PTRDIFF_MAX && hak_reclaim() != 0;
}

static HAK_COLD void *alloc_nested(size_t bytes, size_t align)
{
    int saved = errno;
    void *block = hak_nested_alloc(bytes, align);
    errno = block != NULL ? saved : ENOMEM;
    return block;
}

void *hak_aligned_slow(unsigned class, size_t align, size_t bytes, uintptr_t site)
{
    int zeroed, saved = errno;
    if (hak_unlikely(!hak_slow_enter(&hak_front)))
        return alloc_nested(bytes, align);
    struct hak_call call = {bytes, align, site, HAK_PATH_FRONT};
    void *block;
    do
        block = class == HAK_CLASS_NONE           ? alloc_big(align, &call, &zeroed)
                : hak_front.head[class] != NULL ? pop(&hak_front, class, &call)
                                                : alloc_class(class, &call, &zeroed);
    while (hak_unlikely(block == NULL) && may_try_again(bytes));
    hak_slow_leave(&hak_front);
    errno = block != NULL ? saved : ENOMEM;
    return block;
}

/* The table of classes is by KiB: it sends up to 1023 bytes below the threshold here, too. */
static int is_below_big(size_t bytes)
{
    const struct hak_policy *policy = hak_policy_now();
    size_t least = hak_policy_deals(policy) ? hak_deal_threshold(0) : policy->mmap_threshold;
    return bytes < least && hak_deal_class(bytes) != HAK_CLASS_NONE;
}

/* A request that no class serves: Big, unless an arm that it is dealt to has a class for it.
 * Zeroing is a part of what an arm costs: fresh mappings need none. */
static void *alloc_above(struct hak_call *call, int zero, int *zeroed)
{
    if (hak_unlikely(is_below_big(call->bytes)))
        return alloc_class(hak_deal_class(call->bytes), call, zeroed);
    look_around(&hak_front);
    if (hak_unlikely(hak_deal_counts_sizes))
        hak_deal_count_size(call->bytes);
    if (hak_likely(!hak_policy_deals(hak_policy_now())) || !hak_deal_concerns(call->bytes))
        return alloc_big(1, call, zeroed);
    struct hak_deal deal = hak_deal_request(call->bytes);
    void *block = deal.big ? alloc_big(1, call, zeroed)
                           : alloc_class(hak_deal_class(call->bytes), call, zeroed);
    if (zero && block != NULL && !*zeroed) {
        memset(block, 0, call->bytes);
        *zeroed = 1;
    }
    hak_deal_done(&deal);
    return block;
}

static void *alloc_slow(size_t bytes, uintptr_t site, int zero, int *zeroed)
{
    int saved = errno;
    *zeroed = 0;
    if (hak_unlikely(!hak_slow_enter(&hak_front)))
        return alloc_nested(bytes, 1);
    hak_library_start();
    unsigned class = hak_class_of(bytes);
    struct hak_call call = {bytes, 1, site, HAK_PATH_FRONT};
    struct hak_note note = hak_note_begin(class);
    void *block;
    do {
        *zeroed = 0;
        block = class == HAK_CLASS_NONE ? alloc_above(&call, zero, zeroed)
                                        : alloc_class(class, &call, zeroed);
    } while (hak_unlikely(block == NULL) && may_try_again(bytes));
    hak_note_end(&note, block, &call, class);
    hak_slow_leave(&hak_front);
    errno = block != NULL ? saved : ENOMEM;
    return block;
}

HAK_NOINLINE void *hak_malloc_slow(size_t bytes, uintptr_t site)
{
    int zeroed;
    return alloc_slow(bytes, site != HAK_SITE_IS_CALLER ? site : HAK_CALL_SITE, 0, &zeroed);
}

HAK_NOINLINE void *hak_calloc_slow(size_t bytes, uintptr_t site)
{
    int zeroed;
    void *block = alloc_slow(bytes, site, 1, &zeroed);
    return block != NULL && !zeroed ? memset(block, 0, bytes) : block;
}

/* As for runs: what is idle goes back before more memory is taken. */
static void *take_growing(struct hak_front *front, size_t bytes, size_t roomy)
{
    unsigned seat = front->heap != NULL ? front->heap->tag : 0;
    void *block = hak_growing_alloc(bytes, roomy, seat, 0);
    if (block != NULL)
        return block;
    if (front->block != NULL && ++front->runs % RUNS_A_DRAIN == 0)
        hak_list_drain_idle(front);
    return hak_growing_alloc(bytes, roomy, seat, 1);
}

void *hak_growing_slow(size_t bytes, size_t roomy, uintptr_t site)
{
    struct hak_front *front = &hak_front;
    int saved = errno;
    if (hak_unlikely(!hak_slow_enter(front)))
        return NULL;
    unsigned asked = hak_class_of(bytes);
    struct hak_note note = hak_note_begin(asked);
    look_around(front);
    void *block = take_growing(front, bytes, roomy);
    if (block != NULL) {
        unsigned class = hak_growing_class(hak_growing_bytes(block));
        struct hak_call call = {bytes, 1, site, HAK_PATH_GROWING};
        hak_front_count_direct(class);
        block = hak_sample_direct(class, block, &call);
        hak_note_end(&note, block, &call, asked);
    }
    hak_slow_leave(front);
    errno = saved;
    return block;
}
