/*
 * tiny.h - a thread's slabs: what refills its front and takes back what it drains.
 *
 * Owner: each heap belongs to one thread, which alone calls these functions (but for
 * hak_tiny_free_homeless). While it sleeps, others take in what has been freed of its slabs.
 * Blocks enter and leave by chains linked through their first word. It does not know the
 * front's lists, nor sizes above Tiny.
 */
#ifndef HAK_TINY_H
#define HAK_TINY_H

#include "core/policy.h"
#include "os/lock.h"
#include "slab/shared_pool.h"

/* Remote frees leave in chains: those to the same unit share a CAS. */
#define HAK_OUTBOX_SLOTS 128

struct hak_chain {
    uint32_t unit; /* meaningful while it has blocks */
    uint32_t count;
    void *head, *tail;
    uint32_t charge; /* of a block of it, against the outbox's room */
};

struct hak_tiny_bin {
    struct hak_slab *partial; /* slabs with room; the first is refilled from */
    struct hak_slab *full;    /* slabs without */
    struct hak_slab *last;    /* of partial: the first to be published */
    uint32_t partial_count;
    uint32_t batch;           /* blocks of the next refill; grows from few to the policy's */
};

struct hak_heap {
    uint32_t tag;
    struct hak_lock lock; /* over the bins and their slabs: others visit while the thread sleeps */
    uint32_t is_open;     /* a thread has it */
    uint32_t is_known;    /* those that visit know of it */
    uint32_t turns, seen_turns; /* refills so far, and when it was last visited */
    struct hak_block *block; /* where this thread counts */
    struct hak_tiny_bin bins[HAK_TINY_CLASS_CAPACITY];
    int64_t outbox_room; /* bytes of remote frees until all chains are sent */
    struct hak_chain outbox[HAK_OUTBOX_SLOTS];
    uint32_t needs; /* for a slab, so far */
    uint64_t sent;  /* blocks of drains that went to other owners, so far */
    struct hak_pool_outcome outcome; /* of the last acquire */
    uint64_t idle;  /* classes, a bit each, that are out of use, by the front's last look */
    uint32_t path; /* PATH code of the last refill that brought blocks */
};

/* Makes the heap of a new thread. */
void hak_tiny_start(struct hak_heap *heap, uint32_t tag, struct hak_block *block);

/* Prepends blocks of `class` to *list and returns their number; 0: the shared pool
 * failed, and hak_tiny_fall_back() is next. */
unsigned hak_tiny_refill(struct hak_heap *heap, unsigned class, void **list);
/* Its two steps, for who does something between: what was in use before; when that brings none, new
 * memory. */
unsigned hak_tiny_refill_used(struct hak_heap *heap, unsigned class, void **list);
unsigned hak_tiny_refill_new(struct hak_heap *heap, unsigned class, void **list);

/* Blocks of a Tiny or small Mid class from holes of mixed units; slabs of classes in heap->idle in
 * which few blocks are left become such units. Prepends them to *list and returns their number. */
unsigned hak_tiny_refill_mixed(struct hak_heap *heap, unsigned class, unsigned want, void **list);

/* A slab without used blocks that the class keeps for its next refill goes to the shared pool. */
void hak_tiny_give_kept(struct hak_heap *heap, unsigned class);

/* shared_fail -> legacy: one block after a refill that brought none, which is counted
 * and told; NULL with errno ENOMEM. */
void *hak_tiny_fall_back(struct hak_heap *heap, unsigned class);

/* Takes the first `count` blocks of the list, all of slabs that this heap owned when they
 * were pushed. Returns the rest of the list. A list of unknown length is HAK_WHOLE_LIST
 * long, which is more than any is; one that ends early is suspect. */
#define HAK_WHOLE_LIST 65536u
void *hak_tiny_drain(struct hak_heap *heap, unsigned class, void *list, unsigned count);

/* Frees a block of another owner's slab. */
void hak_tiny_free_remote(struct hak_heap *heap, size_t unit, unsigned class, void *block);
/* The same for a thread without a heap. */
void hak_tiny_free_homeless(size_t unit, unsigned class, void *block);

/* Sends out what waits in the outbox. */
void hak_tiny_flush_outbox(struct hak_heap *heap);

/* The thread ends: EMPTY slabs are released, the others published. Its front has been
 * drained. */
void hak_tiny_end(struct hak_heap *heap);

/* The caller has taken memory into use that was not: what others have freed of the slabs of
 * threads that sleep comes home, so that EMPTY ones are at hand the next time. */
void hak_tiny_visit_others(const struct hak_heap *own);

/* Around fork(), by the thread that forks. */
void hak_tiny_fork_prepare(struct hak_heap *heap);
void hak_tiny_fork_done(struct hak_heap *heap, int in_child);

/* ---- tiny/outbox ---- */

void hak_outbox_start(struct hak_heap *heap);
/* Into the chain of its unit, which leaves when it must. */
void hak_outbox_put(struct hak_heap *heap, size_t unit, unsigned class, void *block);

#endif
