/*
 * hakmem.h - what a program may call besides malloc: allocations that say where they
 * come from, and figures about the process. Link with -lhakmem. A block from these
 * functions may be freed by any free; hak_free_cs() also takes it off its call site's
 * account.
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

/* How the allocator and its process fare. */
struct hak_kpi {
    uint64_t operations;   /* timed: of each thread, one in 64 allocations that miss its lists; none
                            * while HAKMEM_SAMPLE_BYTES is 0 (modes minimal and fast) */
    uint64_t p50_ns;       /* what they took, within 1/16; 0 while operations is 0 */
    uint64_t p95_ns;
    uint64_t p99_ns;
    uint64_t minor_faults; /* of the process, since its start */
    uint64_t major_faults;
    uint64_t rss_bytes;    /* resident now */
    int64_t rss_delta_bytes; /* since the first call: 0 then */
};

/* Fills *kpi. Returns 0, or a negative errno when the resident size cannot be read: then the
 * two figures about it mean nothing. Allocates nothing. */
int hak_get_kpi(struct hak_kpi *kpi);

#ifdef __cplusplus
}
#endif

#endif
