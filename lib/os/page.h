/*
 * page.h - the counters page: descriptors, knob values and counter blocks in a memfd
 * that a tool of the same user reads while the process runs (layout: hakmem_abi.h).
 *
 * Owner: the process. Made once by hak_page_make(); blocks are handed out and taken
 * back under the caller's lock (front/thread). A forked child makes its own copy.
 * Without a memfd, blocks lie in private memory and nobody else sees them.
 */
#ifndef HAK_PAGE_H
#define HAK_PAGE_H

#include "core/counters.h"
#include "core/abi.h"

/* The size of a class has changed. */
void hak_page_show_class(uint32_t class, uint32_t size_bytes);

/* 0, or -ENOMEM when not even private memory was to be had (then nothing counts). */
int hak_page_make(const struct hak_class_info *classes, uint32_t class_count, uint32_t tiny_count,
                  int visible);

/* The block with this index (1 .. HAK_BLOCK_CAPACITY-1), mapped if need be; NULL: no
 * memory. Its words are as the last owner left them: zero after hak_page_retire(). */
struct hak_block *hak_page_block(uint32_t index);

/* Adds an ended thread's block, of which it has used the first `classes`, to block 0 and clears
 * it. */
void hak_page_retire(struct hak_block *block, size_t classes);

/* In a forked child: its own memfd under the same addresses. `own` is the surviving
 * thread's block; all others are retired. */
void hak_page_refork(struct hak_block *own);

/* Where tools put their requests; NULL without a page that they can see. */
extern struct hak_control *hak_page_control;

/* The table of call sites and the count of what found no room in it; NULL: none is kept. */
struct hak_site *hak_page_sites(uint32_t *capacity, uint64_t **lost);

/* Shows a changed knob or policy. */
void hak_page_show_knob(uint32_t value_index);
void hak_page_show_policy(uint64_t version);

#endif
