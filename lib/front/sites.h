/*
 * sites.h - the table of call sites: what each has asked for, and what it is for.
 *
 * It lies in the counters page. Slow paths and labelled calls (hakmem.h) write it, by
 * atomic adds, any thread. A refill stands for as many requests as it brought blocks.
 * Nothing on a hit.
 */
#ifndef HAK_SITES_H
#define HAK_SITES_H

#include "base/base.h"

/* Finds the table in the page; without one, the others do nothing. */
void hak_sites_start(void);
extern int hak_sites_on;

/* A slow path served `site`, which stands for `weight` requests; a big block is followed. */
void hak_sites_note_slow(const void *block, uintptr_t site, size_t bytes, uint64_t weight,
                         int is_big);

/* `site` asked for `bytes`; that stands for `weight` requests. */
void hak_sites_note(uintptr_t site, size_t bytes, uint64_t weight, int is_estimate);
/* The block of a request just noted is followed to its free. */
void hak_sites_track(const void *block, uintptr_t site, size_t bytes, uint64_t weight);
/* It is freed. */
void hak_sites_forget(const void *block);

/* Does the site ask for large blocks, and HAKMEM_SITE_RULES say that these are not kept? */
int hak_sites_lets_go(uintptr_t site);

void hak_sites_fork_prepare(void);
void hak_sites_fork_done(int in_child);

#endif
