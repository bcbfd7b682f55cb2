/*
 * base.h - words that every room uses: integer types, branch hints, bounds.
 * Owner: nobody; macros and pure inline functions only. No state, no I/O.
 */
#ifndef HAK_BASE_H
#define HAK_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#define HAK_API __attribute__((visibility("default")))
#define HAK_COLD __attribute__((noinline, cold))
#define HAK_NOINLINE __attribute__((noinline))
#define HAK_INLINE static inline __attribute__((always_inline))
#define HAK_MALLOC_LIKE __attribute__((malloc, warn_unused_result))
#define HAK_CACHE_ALIGNED __attribute__((aligned(64)))
/* The front lives in the static TLS block: one fs-relative access, no call. */
#define HAK_TLS __thread __attribute__((tls_model("initial-exec")))

#define hak_likely(x) __builtin_expect(!!(x), 1)
#define hak_unlikely(x) __builtin_expect(!!(x), 0)

#define HAK_STR_(x) #x
#define HAK_STR(x) HAK_STR_(x)
#define HAK_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define HAK_KIB ((size_t)1 << 10)
#define HAK_MIB ((size_t)1 << 20)
#define HAK_PAGE_BYTES ((size_t)4096)

/* A unit is the smallest piece of address space that has one size class: a slab. */
#define HAK_UNIT_LG 16
#define HAK_UNIT_BYTES ((size_t)1 << HAK_UNIT_LG)

HAK_INLINE size_t hak_min(size_t a, size_t b) { return a < b ? a : b; }
HAK_INLINE size_t hak_max(size_t a, size_t b) { return a > b ? a : b; }
/* `align` is a power of two; the caller has excluded overflow. */
HAK_INLINE size_t hak_align_up(size_t n, size_t align) { return (n + align - 1) & ~(align - 1); }
HAK_INLINE int hak_is_pow2(size_t n) { return n != 0 && (n & (n - 1)) == 0; }
/* Floor of log2; n is not 0. */
HAK_INLINE unsigned hak_lg(size_t n) { return 63u - (unsigned)__builtin_clzl(n); }

#endif
