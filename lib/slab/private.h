/*
 * private.h - mappings of one unit that serve one Tiny class, past fronts and slabs.
 *
 * For blocks that must not mix with others: what legacy serves, and sampled blocks. One
 * lock per kind and class. The map word of a unit tells its kind by its tag. Any thread.
 * It counts no allocations: its callers know what they are.
 */
#ifndef HAK_PRIVATE_H
#define HAK_PRIVATE_H

#include "slab/superslab.h"

enum hak_private_kind { HAK_PRIVATE_LEGACY, HAK_PRIVATE_SAMPLED, HAK_PRIVATE_KINDS };

/* A block of the class; NULL with errno ENOMEM. */
void *hak_private_alloc(enum hak_private_kind kind, unsigned class);
/* `unit` is the block's. 0: no such block was handed out, which is reported. */
int hak_private_free(size_t unit, void *block);

void hak_private_fork_prepare(void);
void hak_private_fork_done(int in_child);

#endif
