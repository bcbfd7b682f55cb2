/*
 * bigmap.h - how big blocks lie in the address space: mapped, in huge pages, grown.
 *
 * Owner: mid/big, under its lock; nobody else calls. It keeps no table, and knows neither
 * the BigCache nor the batch. Sizes in bytes, multiples of a page.
 */
#ifndef HAK_BIGMAP_H
#define HAK_BIGMAP_H

#include "base/base.h"

/* A fresh mapping, all zero; NULL: the OS refused. */
char *hak_bigmap_fresh(size_t bytes, size_t align);

/* What a block that has grown to `bytes` takes up, so that its end lies in a huge page
 * too; `bytes` where huge pages are not wanted. */
size_t hak_bigmap_grown(size_t bytes);

/* Makes a mapping longer or shorter, where it is or elsewhere; what hak_bigmap_grown()
 * said comes to lie on huge pages. NULL: refused, nothing has changed. */
char *hak_bigmap_resize(char *block, size_t bytes, size_t new_bytes);

#endif
