/*
 * sparse.h - the spans of direct blocks, of which little may be in memory.
 *
 * A program that touches a few pages of each large block leaves them in the span where the
 * block lay. Joined and cut for other sizes, every page of the spans is touched in time, while
 * a block of the same class touches the same pages again, about. Addresses cost nothing, so
 * free spans of which little is resident wait for their own class. Those that are used from end
 * to end go back to mid/span, and are shared by all.
 *
 * Owner: the process, under one lock. Any thread. It looks at what is resident now and then,
 * and knows classes only as places, below HAK_SPARSE_PLACES.
 */
#ifndef HAK_SPARSE_H
#define HAK_SPARSE_H

#include "base/base.h"

#define HAK_SPARSE_PLACES 12

/* A span of the place's class, which always asks for as many units; else as hak_span_take(). */
size_t hak_sparse_take(unsigned place, size_t units, int *zeroed);
void hak_sparse_give(unsigned place, size_t unit, size_t units);
int hak_sparse_resize(size_t unit, size_t units, size_t new_units); /* as hak_span_resize() */

/* What no class has asked for since the last call goes back to mid/span. */
void hak_sparse_age(void);
/* All of it does. Returns the bytes. */
size_t hak_sparse_give_all(void);

void hak_sparse_fork_prepare(void);
void hak_sparse_fork_done(int in_child);

#endif
