/*
 * big.h - Big (L2): blocks from the mmap threshold up.
 *
 * The way back of a freed block: BigCache; if that declines, the madvise batch; unmapped
 * only when it has been cold for long. The way of a request: the same, backwards.
 *
 * Owner: the process; a table under one lock knows every big block, so that nothing is
 * read from an address before we know that it is ours. Any thread. Sizes in bytes.
 */
#ifndef HAK_BIG_H
#define HAK_BIG_H

#include "base/base.h"

/* Memory at a multiple of `align` (a power of two); NULL with errno ENOMEM. *zeroed tells
 * whether it is all zero; `site` is the caller's return address. */
void *hak_big_alloc(size_t bytes, size_t align, uintptr_t site, int *zeroed);
/* Bytes that the program may use; 0: not a big block. */
size_t hak_big_usable(const void *block);
/* 0, or -ENOENT: not a big block. */
int hak_big_free(void *block);
/* Grows or shrinks, moving page tables instead of bytes; NULL: refused, nothing has
 * changed. The block is a big one. */
void *hak_big_resize(void *block, size_t bytes);

/* Asked about the site of a freed block when it is not NULL: 1, the BigCache does not keep
 * it. Called under the lock of big blocks. Set once, at the library's start. */
extern int (*hak_big_lets_go)(uintptr_t site);

/* Lets time pass for what the BigCache and the batch keep. */
void hak_big_tick(void);

/* Unmaps all that the BigCache and the batch keep, since address space is short; returns
 * the bytes. */
size_t hak_big_reclaim(void);

void hak_big_fork_prepare(void);
void hak_big_fork_done(int in_child);

#endif
