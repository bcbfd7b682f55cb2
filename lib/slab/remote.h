/*
 * remote.h - blocks freed by a thread that does not own their slab.
 *
 * Each slab has a list that any thread pushes to and only the owner takes from (MPSC,
 * one CAS a chain). The thread that finds the list unannounced also puts the slab into
 * its owner's remote queue, so that an owner learns of returned blocks without looking
 * at its full slabs.
 *
 * Invariants: bit 0 of slab->remote is set by the pusher that then queues the slab, and
 * cleared only by the thread that takes the slab out of a queue. A slab with bit 0 set
 * is never released, so its queue link stays valid.
 */
#ifndef HAK_REMOTE_H
#define HAK_REMOTE_H

#include "slab/superslab.h"

/* The list's word: blocks in the top 16 bits, address in the next 45, bit 0. */
#define HAK_REMOTE_COUNT_SHIFT 48

/* Pushes a chain of `count` blocks of one unit, `head` to `tail`. Any thread. */
void hak_remote_push(size_t unit, void *head, void *tail, unsigned count);

/* Blocks that wait on the remote list. */
HAK_INLINE unsigned hak_remote_count(const struct hak_slab *slab)
{
    return (unsigned)(hak_load_relaxed(&slab->remote) >> HAK_REMOTE_COUNT_SHIFT);
}

/* Moves the slab's remote list to `linked`, behind what is there. Owner only. Returns the blocks
 * moved. When nothing is there this costs nothing: no block is touched. */
unsigned hak_remote_take(struct hak_slab *slab);

HAK_INLINE int hak_remote_is_queued(const struct hak_slab *slab)
{
    return (int)(hak_load_acquire(&slab->remote) & 1);
}

/* Takes a slab out of the queue of `owner`: one that is still his, or NULL when there
 * is none left. Slabs that have moved on are passed to where they belong. */
struct hak_slab *hak_remote_next(uint32_t owner);

/* A thread with this tag begins; it ends, all its slabs being released or published. */
void hak_remote_open(uint32_t owner);
void hak_remote_close(uint32_t owner);

/* A cheap look whether hak_remote_next() would find anything. */
int hak_remote_waiting(uint32_t owner);

#endif
