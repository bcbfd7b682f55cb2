/*
 * growing.h - blocks that creep up by realloc, above the smallest sizes: whole pages of shared
 * chunks.
 *
 * A buffer that grows passes through every class on its way. Cut from runs of a class, the memory
 * of each class would stay as large as its own crowd has been; pages serve the next size as well,
 * and a block may grow where it lies. Chunks are four units, or one that Tiny has in memory and
 * does not use. A place is the first that fits, so that what lies high runs empty.
 *
 * Owner: a shard, under its lock; any thread may free and resize any block. Classes are for
 * counts alone.
 */
#ifndef HAK_GROWING_H
#define HAK_GROWING_H

#include "os/zone.h"
#include "slab/sizeclass.h"

#define HAK_GROWING_MOST_BYTES ((size_t)256 * HAK_KIB)

/* At least `bytes`, at most HAK_GROWING_MOST_BYTES, and `roomy` where there is a gap of that.
 * `seat`: any number that differs between threads. NULL: it would take another chunk, and may not;
 * or, with errno, there is no memory, or no place for more chunks, while others may have some. */
void *hak_growing_alloc(size_t bytes, size_t roomy, unsigned seat, int may_be_new);

/* Of a block in a unit with HAK_TAG_GROWING; 0: no block begins there. */
size_t hak_growing_bytes(const void *block);

/* Makes the block longer or shorter where it lies; returns what it has then, or 0: it cannot. */
size_t hak_growing_resize(void *block, size_t bytes, size_t roomy);

/* Returns what it had, or 0: no block begins there. */
size_t hak_growing_free(void *block);

/* Gives pages that have been free since the last call but one back to the OS; returns the bytes. */
size_t hak_growing_purge(void);

/* The class that a block of so many bytes counts as. */
HAK_INLINE unsigned hak_growing_class(size_t bytes)
{
    return hak_class_of_pages(bytes / HAK_PAGE_BYTES);
}

void hak_growing_fork_prepare(void);
void hak_growing_fork_done(int in_child);

#endif
