/*
 * outbox.c - remote frees on their way: chains of blocks that belong to other owners' slabs.
 *
 * Owner: the heap's thread alone. A chain leaves by one CAS, see slab/remote.
 */
#include "tiny/tiny.h"

#include "slab/remote.h"

/* The outbox is bounded, since a thread that goes to sleep keeps it: after so many bytes of
 * remote frees all chains leave. By then a program of many sizes has some ten blocks in each,
 * which share the transfers of cache lines that a chain costs. That is a small part of what
 * the front may keep. */
#define OUTBOX_BYTES ((int64_t)256 * HAK_KIB)

/* A class under a soft cap has few slabs, whose owner would fall back while its blocks wait
 * here: they leave sixteen times as soon. */
#define CHARGE_AT_CAP 16

static void send(struct hak_chain *chain)
{
    hak_remote_push(chain->unit, chain->head, chain->tail, chain->count);
    chain->count = 0;
}

static void begin(struct hak_chain *chain, size_t unit, unsigned class, void *block)
{
    chain->unit = (uint32_t)unit;
    chain->head = NULL;
    chain->tail = block;
    chain->charge = hak_classes.size[class];
    if (hak_policy_now()->tiny_cap[class] != 0)
        chain->charge *= CHARGE_AT_CAP;
}

void hak_outbox_put(struct hak_heap *heap, size_t unit, unsigned class, void *block)
{
    struct hak_chain *chain = &heap->outbox[unit % HAK_OUTBOX_SLOTS];
    if (hak_unlikely(chain->unit != unit && chain->count != 0))
        send(chain);
    if (chain->count == 0)
        begin(chain, unit, class, block);
    *(void **)block = chain->head;
    chain->head = block;
    chain->count++;
    heap->outbox_room -= chain->charge;
    if (hak_unlikely(heap->outbox_room < 0))
        hak_tiny_flush_outbox(heap);
}

void hak_tiny_free_remote(struct hak_heap *heap, size_t unit, unsigned class, void *block)
{
    hak_count_class(heap->block, class, remote_frees, 1);
    hak_outbox_put(heap, unit, class, block);
}

void hak_tiny_free_homeless(size_t unit, unsigned class, void *block)
{
    hak_gauge_class_add(class, remote_frees, 1);
    hak_remote_push(unit, block, block, 1);
}

void hak_outbox_start(struct hak_heap *heap)
{
    heap->outbox_room = OUTBOX_BYTES;
}

void hak_tiny_flush_outbox(struct hak_heap *heap)
{
    if (heap->outbox_room == OUTBOX_BYTES)
        return;
    hak_outbox_start(heap);
    for (unsigned i = 0; i < HAK_OUTBOX_SLOTS; i++)
        if (heap->outbox[i].count != 0)
            send(&heap->outbox[i]);
}
