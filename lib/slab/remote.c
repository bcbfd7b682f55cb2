#include "slab/remote.h"

#include "core/codes.h"
#include "core/probe.h"
#include "os/page.h"

#define QUEUED ((uintptr_t)1)

struct remote_queue {
    struct hak_slab *head; /* pushed by anybody, emptied by the owner */
    struct hak_slab *mine; /* owner only: what it has taken and not yet looked at */
} HAK_CACHE_ALIGNED;

/* By owner tag; static, so that a late pusher never finds a queue gone. */
static struct remote_queue queues[HAK_BLOCK_CAPACITY];

static void enqueue(struct hak_slab *slab, uint32_t owner)
{
    struct remote_queue *queue = &queues[owner];
    struct hak_slab *head = hak_load_relaxed(&queue->head);
    do
        slab->queue_next = head;
    while (!hak_cas_weak_release(&queue->head, &head, slab));
}

/* Nobody owns the slab: leave word for stage 0.5, which looks for slabs come home. */
static void knock(size_t unit)
{
    uint32_t *state = &hak_zone.state[unit];
    if (!(hak_load_relaxed(state) & HAK_SLOT_KNOCKED))
        __atomic_fetch_or(state, HAK_SLOT_KNOCKED, __ATOMIC_RELEASE);
}

void hak_remote_push(size_t unit, void *head, void *tail)
{
    struct hak_slab *slab = hak_slab_of_unit(unit);
    uint32_t owner = hak_load_acquire(&slab->owner);
    uintptr_t announce = owner != HAK_TAG_NOBODY ? QUEUED : 0;
    uintptr_t old = hak_load_relaxed(&slab->remote);
    if (announce == 0)
        knock(unit); /* before the push: after it the slab may be gone */
    do
        *(uintptr_t *)tail = old & ~QUEUED;
    while (!hak_cas_weak_release(&slab->remote, &old, (uintptr_t)head | (old & QUEUED) | announce));
    if (announce && !(old & QUEUED))
        enqueue(slab, owner);
}

unsigned hak_remote_take(struct hak_slab *slab)
{
    uintptr_t list = hak_load_relaxed(&slab->remote);
    if ((list & ~QUEUED) == 0)
        return 0;
    list = hak_and_acq_rel(&slab->remote, QUEUED) & ~QUEUED;
    unsigned count = 0;
    for (uintptr_t next; list != 0; list = next, count++) {
        if (hak_unlikely(!hak_slab_holds(slab, (void *)list) || count == slab->used)) {
            hak_integrity(count == slab->used ? HAK_INTEGRITY_COUNT : HAK_INTEGRITY_FREE_LINK, slab,
                          list, slab->class);
            break;
        }
        next = *(uintptr_t *)list;
        *(void **)list = slab->free;
        slab->free = (void *)list;
    }
    slab->free_count = (uint16_t)(slab->free_count + count);
    slab->used = (uint16_t)(slab->used - count);
    return count;
}

int hak_remote_waiting(uint32_t owner)
{
    return queues[owner].mine != NULL || hak_load_relaxed(&queues[owner].head) != NULL;
}

/* Somebody's else by now: its owner's queue, or nobody's, takes it. Blocks may have been
 * pushed unannounced while bit 0 was still set, so look once more after clearing it. */
static void pass_on(struct hak_slab *slab)
{
    uint32_t owner = hak_load_acquire(&slab->owner);
    if (owner != HAK_TAG_NOBODY) {
        enqueue(slab, owner);
        return;
    }
    knock(hak_slab_unit(slab));
    hak_and_acq_rel(&slab->remote, ~QUEUED);
}

struct hak_slab *hak_remote_next(uint32_t owner)
{
    struct remote_queue *queue = &queues[owner];
    for (;;) {
        if (queue->mine == NULL)
            queue->mine = hak_exchange_acquire(&queue->head, NULL);
        struct hak_slab *slab = queue->mine;
        if (slab == NULL)
            return NULL;
        queue->mine = slab->queue_next;
        if (hak_load_relaxed(&slab->owner) == owner) {
            hak_and_acq_rel(&slab->remote, ~QUEUED);
            return slab;
        }
        pass_on(slab);
    }
}
