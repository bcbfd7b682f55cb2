/*
 * legacy.h - the backend that serves Tiny when the shared pool cannot: private mappings
 * of one unit per class, a lock per class, unmapped as soon as they are empty.
 *
 * The slow road, on purpose without cache: it keeps a program running while its class is
 * at the cap, and does not hide that it is. Also serves threads that have no heap (any
 * more). Any thread.
 */
#ifndef HAK_LEGACY_H
#define HAK_LEGACY_H

#include "slab/superslab.h"

/* NULL with errno ENOMEM. */
void *hak_legacy_alloc(unsigned class);
/* `unit` is the block's, and its map word carries HAK_TAG_LEGACY. */
void hak_legacy_free(size_t unit, void *block);

void hak_legacy_fork_prepare(void);
void hak_legacy_fork_done(int in_child);

#endif
