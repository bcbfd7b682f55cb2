#include "slab/remote.h"

#include "core/codes.h"
#include "core/probe.h"
#include "os/page.h"

#define QUEUED ((uintptr_t)1)

/* The head of a queue whose owner has ended: nobody would look into it. */
#define CLOSED ((struct hak_slab *)1)

struct remote_queue {
    struct hak_slab *head; /* pushed by anybody, emptied by the owner */
    struct hak_slab *mine; /* owner only: what it has taken and not yet looked at */
} HAK_CACHE_ALIGNED;

/* By owner tag; static, so that a late pusher never finds a queue gone. */
static struct remote_queue queues[HAK_BLOCK_CAPACITY];

void hak_remote_open(uint32_t owner)
{
    hak_store_release(&queues[owner].head, NULL);
}

static int enqueue(struct hak_slab *slab, uint32_t owner)
{
    struct remote_queue *queue = &queues[owner];
    struct hak_slab *head = hak_load_acquire(&queue->head);
    do {
        if (head == CLOSED)
            return 0;
        slab->queue_next = head;
    } while (!hak_cas_weak_acq_rel(&queue->head, &head, slab));
    return 1;
}

/* Nobody owns the slab: leave word for stage 0.5, which looks for slabs come home. */
static void knock(size_t unit)
{
    uint32_t *state = &hak_zone.state[unit];
    if (!(hak_load_relaxed(state) & HAK_SLOT_KNOCKED))
        __atomic_fetch_or(state, HAK_SLOT_KNOCKED, __ATOMIC_RELEASE);
}

static uint32_t owner_of(size_t unit)
{
    return hak_load_acquire(&hak_zone.map[unit]) >> HAK_TAG_SHIFT;
}

/* The caller has set bit 0. Puts the slab where it will be looked at: the owner's queue,
 * or, while nobody owns it, on the list of stage 0.5 with bit 0 clear. The owner may
 * change at any moment, hence the loop: whoever adopts first writes the owner and then
 * takes the list, so either he sees our blocks, or we see him. SuperSlabs are never
 * unmapped while threads run, so the slab may be looked at even when it has moved on. */
static void announce(struct hak_slab *slab, size_t unit)
{
    for (;;) {
        uint32_t owner = owner_of(unit);
        if (owner < HAK_BLOCK_CAPACITY) {
            if (enqueue(slab, owner))
                return;
            hak_cpu_relax(); /* he is just leaving his slabs */
            continue;
        }
        hak_and_acq_rel(&slab->remote, ~QUEUED);
        knock(unit);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (owner_of(unit) >= HAK_BLOCK_CAPACITY)
            return;
        if (__atomic_fetch_or(&slab->remote, QUEUED, __ATOMIC_ACQ_REL) & QUEUED)
            return; /* another pusher announces */
    }
}

static void *address_of(uintptr_t word)
{
    return (void *)(word & (((uintptr_t)1 << HAK_REMOTE_COUNT_SHIFT) - 1) & ~QUEUED);
}

void hak_remote_push(size_t unit, void *head, void *tail, unsigned count)
{
    struct hak_slab *slab = hak_slab_of_unit(unit);
    uintptr_t old = hak_load_relaxed(&slab->remote), word;
    do {
        uintptr_t blocks = (old >> HAK_REMOTE_COUNT_SHIFT) + count;
        *(void **)tail = address_of(old);
        word = blocks << HAK_REMOTE_COUNT_SHIFT | (uintptr_t)head | QUEUED;
    } while (!hak_cas_weak_acq_rel(&slab->remote, &old, word));
    if (!(old & QUEUED))
        announce(slab, unit);
}

/* Behind what others have linked before. No further than there are blocks: one that was freed
 * twice makes the list a ring. */
static void append(struct hak_slab *slab, void *list)
{
    void **link = &slab->linked;
    unsigned left = slab->linked_count;
    for (; left != 0 && *link != NULL && hak_likely(hak_slab_holds(slab, *link)); left--)
        link = *link;
    *link = list;
}

unsigned hak_remote_take(struct hak_slab *slab)
{
    if (hak_remote_count(slab) == 0)
        return 0;
    uintptr_t word = hak_and_acq_rel(&slab->remote, QUEUED);
    unsigned count = (unsigned)(word >> HAK_REMOTE_COUNT_SHIFT);
    if (hak_unlikely(count > slab->used)) {
        hak_integrity(HAK_INTEGRITY_COUNT, slab, count, slab->used);
        return 0;
    }
    append(slab, address_of(word));
    slab->linked_count = (uint16_t)(slab->linked_count + count);
    slab->used = (uint16_t)(slab->used - count);
    return count;
}

int hak_remote_waiting(uint32_t owner)
{
    return queues[owner].mine != NULL || hak_load_relaxed(&queues[owner].head) != NULL;
}

/* Takes the first slab out of `mine`; one that has moved on goes where it belongs. */
static struct hak_slab *take_mine(struct remote_queue *queue, uint32_t owner)
{
    struct hak_slab *slab = queue->mine;
    size_t unit = hak_slab_unit(slab);
    queue->mine = slab->queue_next;
    if (owner_of(unit) != owner) {
        announce(slab, unit);
        return NULL;
    }
    hak_and_acq_rel(&slab->remote, ~QUEUED);
    return slab;
}

struct hak_slab *hak_remote_next(uint32_t owner)
{
    struct remote_queue *queue = &queues[owner];
    for (;;) {
        if (queue->mine == NULL)
            queue->mine = hak_exchange_acquire(&queue->head, NULL);
        if (queue->mine == NULL)
            return NULL;
        struct hak_slab *slab = take_mine(queue, owner);
        if (slab != NULL)
            return slab;
    }
}

void hak_remote_close(uint32_t owner)
{
    struct remote_queue *queue = &queues[owner];
    struct hak_slab *rest = hak_exchange_acquire(&queue->head, CLOSED);
    for (int turn = 0; turn < 2; turn++, queue->mine = rest)
        while (queue->mine != NULL)
            take_mine(queue, owner);
    queue->mine = NULL;
}
