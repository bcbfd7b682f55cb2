/*
 * counters.h - counting: one block of 64-bit words per thread, merged by readers.
 *
 * Owner: a block belongs to one thread, which alone writes it, with plain stores;
 * block 0 belongs to the process and is written by atomic adds, on slow paths only.
 * Blocks lie in the counters page (core/page.h). This header does not know threads:
 * callers say which block is theirs.
 */
#ifndef HAK_COUNTERS_H
#define HAK_COUNTERS_H

#include "base/atomic.h"

#define HAK_CLASS_CAPACITY 80
#define HAK_BLOCK_CAPACITY 8192 /* block 0, and threads that count at the same time */
/* A power of two, so that a class's record is found by a shift. */
#define HAK_CLASS_WORDS 32
#define HAK_SCALAR_WORDS 64

enum hak_scalar_word {
#define HAK_SCALAR(id, unit, kind, doc) HAK_SCALAR_##id,
#define HAK_CLASS(id, unit, kind, doc)
#include "tables/counters.def"
#undef HAK_SCALAR
#undef HAK_CLASS
    HAK_SCALAR_COUNT
};

#define HAK_WORDS_counter 1
#define HAK_WORDS_gauge 1
#define HAK_WORDS_pair 2

enum hak_class_word {
#define HAK_SCALAR(id, unit, kind, doc)
#define HAK_CLASS(id, unit, kind, doc) \
    HAK_CLASS_##id, HAK_CLASS_##id##_last = HAK_CLASS_##id + HAK_WORDS_##kind - 1,
#include "tables/counters.def"
#undef HAK_SCALAR
#undef HAK_CLASS
    HAK_CLASS_WORDS_USED
};

_Static_assert(HAK_SCALAR_COUNT <= HAK_SCALAR_WORDS, "more scalars than words");
_Static_assert(HAK_CLASS_front_pops % 2 == 0 && HAK_CLASS_front_pushes % 2 == 0,
               "pairs are aligned");
_Static_assert(HAK_CLASS_WORDS_USED <= HAK_CLASS_WORDS, "a class record is full");

struct hak_block {
    uint64_t scalar[HAK_SCALAR_WORDS];
    uint64_t class[HAK_CLASS_CAPACITY][HAK_CLASS_WORDS];
} __attribute__((aligned(4096)));

/* Block 0. Until the page is there it is a block nobody reads. */
extern struct hak_block *hak_process_block;

/* A pair counts base + countdown. The fast path's only work is the increment of the
 * countdown, whose reaching zero sends it to its slow path. */
#define hak_pair_base(block, c, id) (&(block)->class[c][HAK_CLASS_##id])
#define hak_pair_countdown(block, c, id) (&(block)->class[c][HAK_CLASS_##id + 1])

HAK_INLINE uint64_t hak_pair_value(const uint64_t *base)
{
    return hak_load_relaxed(&base[0]) + hak_load_relaxed(&base[1]);
}

typedef uint64_t hak_two_words __attribute__((vector_size(16), may_alias));

/* From now on `steps` increments bring the countdown to zero; the value is unchanged. Both
 * words change in one store of 16 aligned bytes, so that a reader who loads them as one
 * never sees half of it (x86-64: atomic wherever there is AVX). */
HAK_INLINE void hak_pair_arm(uint64_t *base, uint64_t steps)
{
    uint64_t value = base[0] + base[1];
#ifdef __SANITIZE_THREAD__
    hak_store_relaxed(&base[0], value + steps);
    hak_store_relaxed(&base[1], 0 - steps);
#else
    *(volatile hak_two_words *)base = (hak_two_words){value + steps, 0 - steps};
#endif
}

#ifdef HAK_BENCH_MINIMAL
#define hak_count_scalar(block, id, n) ((void)(block), (void)(n))
#define hak_count_class(block, c, id, n) ((void)(block), (void)(c), (void)(n))
#define hak_gauge_add(id, n) ((void)(n))
#define hak_gauge_class_add(c, id, n) ((void)(c), (void)(n))
#define hak_count_any_class(block, c, id, n) ((void)(block), (void)(c), (void)(n))
#define hak_count_any_scalar(block, id, n) ((void)(block), (void)(n))
#else
#define hak_count_scalar(block, id, n) hak_count(&(block)->scalar[HAK_SCALAR_##id], n)
#define hak_count_class(block, c, id, n) hak_count(&(block)->class[c][HAK_CLASS_##id], n)
/* For callers that may have no block of their own and then count in the process's. */
#define hak_count_any_class(block, c, id, n) \
    ((block) != hak_process_block ? hak_count_class(block, c, id, n) \
                                  : hak_gauge_class_add(c, id, n))
#define hak_count_any_scalar(block, id, n) \
    ((block) != hak_process_block ? hak_count_scalar(block, id, n) \
                                  : hak_gauge_add(id, n))
/* The process's own words; negative n takes away. */
#define hak_gauge_add(id, n) \
    ((void)hak_add_relaxed(&hak_process_block->scalar[HAK_SCALAR_##id], (uint64_t)(n)))
#define hak_gauge_class_add(c, id, n) \
    ((void)hak_add_relaxed(&hak_process_block->class[c][HAK_CLASS_##id], (uint64_t)(n)))
#endif

#endif
