/* The lists of a front: see lists.h. */
#include "front/lists.h"

#include "core/probe.h"
#include "front/control.h"
#include "front/nested.h"
#include "mid/ace.h"

/* A class is idle when nothing was popped from it from one look to the next. */
#define REFILLS_A_LOOK 16

/* ---- lengths and looks ------------------------------------------------------ */

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
void hak_list_look_for_idle(struct hak_front *front)
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
void hak_list_refilled(struct hak_front *front, unsigned class, unsigned count)
{
    hak_sample_class(class);
    front->extra[class] += count - length_of(front, class);
    arm_pushes(front, class, count);
}

/* ---- the way back ------------------------------------------------------------ */

void *hak_front_give_back(unsigned class, void *list, unsigned count)
{
    struct hak_front *front = &hak_front;
    if (class < hak_classes.tiny_count)
        return hak_tiny_drain(front->heap, class, list, count);
    return hak_ace_drain(class, hak_front_counts(), list, count);
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
void hak_list_drain_idle(struct hak_front *front)
{
    uint64_t idle = 0;
    for (unsigned class = 0; class < front->classes; class++) {
        if (!front->idle[class] || front->seen_pops[class] != pops_of(front, class))
            continue;
        drain_idle_class(front, class);
        idle |= class < hak_classes.tiny_count ? (uint64_t)1 << class : 0;
    }
    front->heap->idle = idle;
}

/* ---- full lists ---------------------------------------------------------------- */

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
        hak_pair_arm(hak_pair_base(front->block, class, front_pushes), HAK_LOOK_AGAIN);
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
