/*
 * slow.c - what lies behind a miss: refill, drain, big blocks. errno is preserved by every
 * free, and by malloc unless it fails.
 */
#include "front/front.h"

#include <string.h>

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "front/control.h"
#include "front/deal.h"
#include "front/nested.h"
#include "front/note.h"
#include "front/sites.h"
#include "mid/ace.h"
#include "mid/big.h"
#include "mid/growing.h"
#include "os/os.h"
#include "slab/legacy.h"

/* A look at the clock costs as much as a refill: one in so many is not felt. */
#define SLOW_PATHS_A_TICK 64

/* A class is idle when nothing was popped from it from one look to the next. */
#define REFILLS_A_LOOK 16

/* Steps until a nested call's countdown, which has run out, does so again. */
#define LOOK_AGAIN 64

/* ---- allocation ---------------------------------------------------------- */

HAK_NOINLINE void *hak_pop_counted_out(unsigned class, void *block, size_t bytes, uintptr_t site)
{
    struct hak_front *front = &hak_front;
    struct hak_call call = {bytes, 1, site != HAK_SITE_IS_CALLER ? site : HAK_CALL_SITE,
                            HAK_PATH_FRONT};
    if (hak_unlikely(!hak_slow_enter(front))) {
        hak_pair_arm(hak_pair_base(front->block, class, front_pops), LOOK_AGAIN);
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

static int64_t length_of(const struct hak_front *front, unsigned class)
{
    uint64_t pushes = hak_pair_value(hak_pair_base(front->block, class, front_pushes));
    uint64_t pops = hak_pair_value(hak_pair_base(front->block, class, front_pops));
    return (int32_t)(front->extra[class] + (uint32_t)(pushes - pops));
}

/* A list that is found short again and again is looked at less and less often, down to
 * one look in 2^MOST_CALM as many frees. It may then pass its cap once, by blocks that
 * were in use a moment ago. */
#define MOST_CALM 4

/* So many frees until the list must be looked at again. */
static void arm_pushes(struct hak_front *front, unsigned class, int64_t length)
{
    int64_t room = (int64_t)hak_policy_now()->front_cap[class] - length;
    room <<= front->calm[class];
    hak_pair_arm(hak_pair_base(front->block, class, front_pushes), room > 0 ? (uint64_t)room : 1);
}

static uint16_t pops_of(const struct hak_front *front, unsigned class)
{
    return (uint16_t)hak_pair_value(hak_pair_base(front->block, class, front_pops));
}

/* At each refill, of one block or more. */
static void look_for_idle(struct hak_front *front)
{
    if (hak_likely(++front->refills % REFILLS_A_LOOK != 0) || front->block == NULL)
        return;
    for (unsigned class = 0; class < front->classes; class++) {
        uint16_t pops = pops_of(front, class);
        front->idle[class] = pops == front->seen_pops[class];
        front->seen_pops[class] = pops;
    }
}

/* The list was empty, and `count` blocks have come into it by another way than a push. */
static void list_refilled(struct hak_front *front, unsigned class, unsigned count)
{
    hak_sample_class(class);
    front->extra[class] += count - length_of(front, class);
    arm_pushes(front, class, count);
}

/* A thread without a block counts in the process's, where others count too. */
static struct hak_block *counts_of(const struct hak_front *front)
{
    return front->block != NULL ? front->block : hak_process_block;
}

void hak_front_count_direct(unsigned class)
{
    struct hak_front *front = &hak_front;
    if (class >= front->classes)
        hak_front_open_all(front);
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

static void drain(struct hak_front *front, unsigned class, unsigned count);

/* Of a class that is not used at present, nothing is kept. */
static void drain_idle_class(struct hak_front *front, unsigned class)
{
    int64_t length = front->head[class] != NULL ? length_of(front, class) : 0;
    if (length > 0)
        drain(front, class, (unsigned)length);
    if (class < hak_classes.tiny_count)
        hak_tiny_give_kept(front->heap, class);
}

/* Before memory is touched that was not in use before, what is kept of idle classes goes back. A
 * program whose sizes change would keep each size's blocks besides the next one's. */
static void drain_idle(struct hak_front *front)
{
    for (unsigned class = 0; class < front->classes; class++)
        if (front->idle[class] && front->seen_pops[class] == pops_of(front, class))
            drain_idle_class(front, class);
}

static void *alloc_tiny(struct hak_front *front, unsigned class, struct hak_call *call)
{
    if (front->heap == NULL) /* a thread that is ending, or has no memory to start */
        return hak_legacy_alloc(class);
    if (front->own_word == HAK_NO_WORD)
        return without_front(front, class, call);
    void *list = NULL;
    look_for_idle(front);
    unsigned got = hak_tiny_refill_used(front->heap, class, &list);
    if (hak_unlikely(got == 0)) {
        drain_idle(front);
        hak_tiny_visit_others(front->heap);
        got = hak_tiny_refill_new(front->heap, class, &list);
    }
    if (got == 0)
        return fall_back(front, class, call);
    hak_nested_set_list(front, class, list);
    list_refilled(front, class, got);
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

/* A thread without a front takes and gives single blocks. */
static void *alloc_ace(struct hak_front *front, unsigned class, struct hak_call *call, int *zeroed)
{
    struct hak_ace_answer answer;
    hak_front_open_all(front);
    hak_sample_class(class);
    struct hak_ace_request request = {
        .class = class,
        .bytes = hak_max(call->bytes, call->align),
        .align = call->align,
        .seat = front->heap != NULL ? front->heap->tag : 0,
        .want = front->shared_word != HAK_NO_WORD ? hak_policy_now()->front_refill[class] : 1,
        .keeps = front->shared_word != HAK_NO_WORD,
        .counts = counts_of(front),
    };
    if (!hak_ace_is_direct(class))
        look_for_idle(front);
    if (is_time_to_drain(front, class))
        drain_idle(front);
    if (!hkm_ace_alloc(&request, &answer))
        return alloc_big(call->align, call, zeroed);
    if (answer.block == NULL)
        return NULL;
    if (answer.rest_count != 0) {
        hak_nested_set_list(front, class, answer.rest);
        list_refilled(front, class, answer.rest_count);
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
        drain_idle(front);
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

/* ---- full lists ------------------------------------------------------------ */

void *hak_front_give_back(unsigned class, void *list, unsigned count)
{
    struct hak_front *front = &hak_front;
    if (class < hak_classes.tiny_count)
        return hak_tiny_drain(front->heap, class, list, count);
    return hak_ace_drain(class, counts_of(front), list, count);
}

/* The first `count` blocks leave the list. */
static void drain(struct hak_front *front, unsigned class, unsigned count)
{
    hak_count_class(front->block, class, drains, 1);
    hak_count_class(front->block, class, drained, count);
    front->extra[class] -= count;
    uint64_t sent = front->heap != NULL ? front->heap->sent : 0;
    void *list = front->head[class];
    front->head[class] = NULL;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    hak_nested_set_list(front, class, hak_front_give_back(class, list, count));
    hak_probe_drain(class, count, front->heap != NULL ? front->heap->sent - sent : 0);
    if (front->head[class] == NULL) /* also after a broken list was given up */
        front->extra[class] -= length_of(front, class);
}

/* What a full list keeps. */
static int64_t kept_of(int64_t cap)
{
    return cap * (1000 - (int64_t)hak_policy_now()->drain_permille) / 1000;
}

/* So many frees have come since the last look that the list may be full. */
HAK_NOINLINE void hak_front_full(unsigned class)
{
    int saved = errno;
    struct hak_front *front = &hak_front;
    if (hak_unlikely(!hak_slow_enter(front))) {
        hak_pair_arm(hak_pair_base(front->block, class, front_pushes), LOOK_AGAIN);
        return;
    }
    if (hak_unlikely(hak_control_waits()))
        hak_control_answer();
    hak_sample_class(class);
    int64_t cap = hak_policy_now()->front_cap[class];
    int64_t length = length_of(front, class);
    if (length >= cap - cap / 4) {
        front->calm[class] = 0;
        drain(front, class, (unsigned)(length - kept_of(cap)));
    } else if (front->calm[class] < MOST_CALM) {
        front->calm[class]++;
    }
    arm_pushes(front, class, length_of(front, class));
    hak_slow_leave(front);
    errno = saved;
}

/* ---- fork ------------------------------------------------------------------------------- */

/* Until the child has a page of its own, its parent goes on counting in the one it sees. */
static int64_t lengths_at_fork[HAK_CLASS_CAPACITY];

void hak_front_fork_prepare(void)
{
    for (unsigned class = 0; hak_front.block != NULL && class < hak_front.classes; class++)
        lengths_at_fork[class] = length_of(&hak_front, class);
}

void hak_front_fork_child(void)
{
    struct hak_front *front = &hak_front;
    for (unsigned class = 0; front->block != NULL && class < front->classes; class++) {
        front->extra[class] += lengths_at_fork[class] - length_of(front, class);
        arm_pushes(front, class, lengths_at_fork[class]);
    }
}

/* ---- the end of a thread ----------------------------------------------------- */

void hak_front_empty_all(void)
{
    struct hak_front *front = &hak_front;
    for (unsigned class = 0; class < front->classes; class++) {
        int64_t length = length_of(front, class);
        if (front->head[class] != NULL && length > 0)
            drain(front, class, (unsigned)length);
        if (front->head[class] != NULL) /* miscounted: a child of a raw clone() counts here too */
            hak_front_give_back(class, front->head[class], HAK_WHOLE_LIST);
        front->head[class] = NULL;
    }
    hak_ace_direct_give_kept();
}
