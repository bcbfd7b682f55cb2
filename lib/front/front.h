/*
 * front.h - the thread's free lists and the way into everything behind them.
 *
 * Owner: the thread. `hak_front` is static TLS that starts out as zeros and impossible
 * tags: every look at it then misses and takes the slow path, which starts the thread.
 * So a hit needs no check whether the thread has started. Only this room touches it.
 */
#ifndef HAK_FRONT_H
#define HAK_FRONT_H

#include "core/counters.h"
#include "front/sample.h"
#include "slab/sizeclass.h"
#include "tiny/tiny.h"

struct hak_front {
    void *head[HAK_CLASS_CAPACITY]; /* free blocks, linked through their first word */
    uint32_t own_word;    /* the thread's tag, shifted: map word ^ this is the class */
    uint32_t shared_word; /* the same for Mid and Large, whose blocks nobody owns */
    struct hak_block *block;
    struct hak_heap *heap; /* NULL before the thread's start and after its end */
    void *waiting; /* what a handler that interrupted a slow path has freed: front/nested.h */
    uint32_t in_slow;      /* for such a handler to find */
    uint32_t slow_paths;   /* taken so far: once in many, the thread looks at the clock */
    uint32_t extra[HAK_CLASS_CAPACITY]; /* length of a list = extra + pushes - pops, modulo 2^32 */
    uint8_t calm[HAK_CLASS_CAPACITY];  /* looks in a row that found the list short */
    uint32_t refills;      /* so far: at one in many, it looks for lists that are idle */
    uint32_t runs;         /* mapped for the thread, about */
    uint16_t seen_pops[HAK_CLASS_CAPACITY]; /* at the last look for idle lists; modulo 2^16 */
    uint8_t idle[HAK_CLASS_CAPACITY]; /* not popped between the last two looks */
    uint32_t classes;      /* whose lists are in use: Tiny's, or all */
    uint32_t above_tiny;   /* calls that came there before those were open */
    uint32_t ended;        /* its TLS destructors have run: nothing is kept any more */
};

#define HAK_NO_WORD 0xffffffffu /* xor with it never gives a class */

extern HAK_TLS struct hak_front hak_front;

/* Where the calling thread counts; without a block of its own in the process's, where others count
 * too. */
HAK_INLINE struct hak_block *hak_front_counts(void)
{
    return hak_front.block != NULL ? hak_front.block : hak_process_block;
}

/* front/thread: gives the calling thread a heap and a block; 0 or -ENOMEM. The first
 * call of all starts the library. */
int hak_thread_start(void);
/* The thread comes to a class above Tiny. Many never do, and those take up most of a thread's
 * counts: their lists open after a few calls. */
void hak_front_come_above(struct hak_front *front);
/* Makes sure that the library has started, without giving the thread a heap. */
void hak_library_start(void);

/* Where in the program an entry of the family was called from. */
#define HAK_CALL_SITE ((uintptr_t)__builtin_return_address(0))
/* To a function that is reached by a jump: its own return address is the site. */
#define HAK_SITE_IS_CALLER ((uintptr_t)0)

/* malloc as defined here, whatever the program's may be. */
void *hak_own_malloc(size_t bytes);

/* malloc and aligned_alloc on behalf of a caller at `site`. */
void *hak_malloc_from(size_t bytes, uintptr_t site);
void *hak_aligned_from(size_t align, size_t bytes, uintptr_t site);

/* Bytes that the program may use of one of our blocks; 0: not ours. */
size_t hak_usable(const void *block);

/* front/slow, front/lists, front/free: what a miss, a full list or an unknown address leads to. */
void *hak_malloc_slow(size_t bytes, uintptr_t site);
void *hak_calloc_slow(size_t bytes, uintptr_t site); /* zeroed */
/* From a class whose blocks are aligned enough, or HAK_CLASS_NONE and Big. */
void *hak_aligned_slow(unsigned class, size_t align, size_t bytes, uintptr_t site);
/* Pages for a block that creeps up; NULL, errno as it was: there are none. */
void *hak_growing_slow(size_t bytes, size_t roomy, uintptr_t site);
void hak_free_slow(void *block);
void hak_front_full(unsigned class);
void *hak_pop_counted_out(unsigned class, void *block, size_t bytes, uintptr_t site);
void hak_front_put_back(unsigned class, void *block); /* one that has just been popped */
/* The first `count` blocks of a list, to whom they belong; returns the rest. */
void *hak_front_give_back(unsigned class, void *list, unsigned count);
void hak_front_count_direct(unsigned class); /* an allocation that came past the lists */
void hak_front_count_direct_free(unsigned class);
void hak_front_fork_prepare(void);
void hak_front_fork_child(void); /* after the page is the child's own */
void hak_front_empty_all(void);

/* front/report: takes SIGUSR2 when the ring of events is kept. */
void hak_report_start(void);

/* front/tick: called once in many slow paths. */
void hak_tick(void);
/* The system has refused memory: gives back what no block is in. Returns the bytes. */
size_t hak_reclaim(void);


/* Counts one more; 1 when the countdown has run out. One writer, so a plain add. It is in
 * every build: the length of a list is known by what went in and out. */
#define hak_step(countdown) hak_unlikely(hak_bump(countdown) == 0)

#endif
