/*
 * atomic.h - the only spelling of atomic operations: the order is in the name.
 * Works on plain objects through gcc's builtins, so that tables and pages need no
 * _Atomic types. Any thread may call these; nothing here blocks but the lock.
 */
#ifndef HAK_ATOMIC_H
#define HAK_ATOMIC_H

#include "base/base.h"

#define hak_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define hak_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define hak_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define hak_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define hak_exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define hak_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define hak_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define hak_sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define hak_and_acq_rel(p, v) __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)
/* On failure *expected receives what is there. */
#define hak_cas_acquire(p, expected, v) \
    __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define hak_cas_acq_rel(p, expected, v) \
    __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define hak_cas_weak_acq_rel(p, expected, v) \
    __atomic_compare_exchange_n((p), (expected), (v), 1, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* A counter with one writer: a plain add that a reader in another thread may see. */
#define hak_count(p, n) hak_store_relaxed((p), hak_load_relaxed(p) + (uint64_t)(n))

/* The fast path's relaxed load, and its add of one by the only writer. gcc spends a move more on
 * the atomic spelling; plain accesses of an aligned word are seen whole on x86-64 as well, which
 * the thread sanitizer cannot know. */
#ifdef __SANITIZE_THREAD__
#define hak_peek(p) hak_load_relaxed(p)
#define hak_bump(p) (hak_count((p), 1), *(p))
#else
#define hak_peek(p) (*(p))
#define hak_bump(p) (++*(p))
#endif

HAK_INLINE void hak_cpu_relax(void) { __builtin_ia32_pause(); }

#endif
