/*
 * purge.h - the madvise batch: big blocks on their way back to the OS.
 *
 * A range waits in the batch until enough have come together (by count, bytes or age);
 * then neighbours are joined and given back by MADV_FREE or MADV_DONTNEED, and stay
 * mapped, cold. Only what is cold for long is unmapped. A range of the right size may be
 * taken back at any time. Owner: mid/big, under its lock.
 */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include "base/base.h"

/* Adds a range; flushes when the batch is full. */
void hak_purge_add(void *address, size_t bytes, uint64_t now_ns);

/* What waits or is cold may take up RSS (MADV_FREE gives pages back only when memory gets
 * short). Makes it at most `most_bytes`, by flushing and by unmapping what is coldest. */
void hak_purge_limit(size_t most_bytes, uint64_t now_ns);

/* Bytes that it may make smaller. */
size_t hak_purge_bytes(void);

/* Takes back a range of exactly `bytes`, or NULL. Its contents are what they were, or
 * zeros. */
void *hak_purge_take(size_t bytes);

/* Unmaps whatever waits or is cold, since address space is short; returns the bytes. */
size_t hak_purge_unmap_all(void);

/* Flushes a batch whose oldest range has waited long enough. */
void hak_purge_tick(uint64_t now_ns);

#endif
