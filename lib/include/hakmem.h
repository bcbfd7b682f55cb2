/*
 * hakmem.h - what a program may call besides malloc: allocations that say where they
 * come from. Link with -lhakmem. A block from these functions may be freed by any free;
 * hak_free_cs() also takes it off its call site's account.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The call site of the function that this stands in: an address for hak_alloc_at(). */
#define HAK_CALLSITE() ((uintptr_t)__builtin_return_address(0))

/* malloc(size), put down to the caller. */
void *hak_alloc_cs(size_t size);
/* malloc(size), put down to `site`, any address or number but 0. */
void *hak_alloc_at(size_t size, uintptr_t site);
/* free(block); `size` is what was asked for, or 0 when it is not known. */
void hak_free_cs(void *block, size_t size);

#ifdef __cplusplus
}
#endif

#endif
