/*
 * sample.h - sampled allocations: a Poisson process over the bytes that a program asks for.
 *
 * Each class is a process of its own: the number of pops until its next sample is drawn
 * ahead, and the front's countdown of pops runs out at it, so a hit pays nothing. What
 * bypasses the front pays one subtraction. A sampled block comes from a mapping of its
 * own kind (tag SAMPLED), so that its free, too, is told from others without a look.
 *
 * Owner: the state in `hak_sampler` is the thread's; the table of live samples is the
 * process's, under one lock. It does not decide what samples are for: it fires
 * otel_memory:alloc and :free, and hakmem:sample_alloc.
 */
#ifndef HAK_SAMPLE_H
#define HAK_SAMPLE_H

#include "base/base.h"

/* The call that a slow path serves: noted where it begins, told when it is sampled. */
struct hak_call {
    size_t bytes; /* that the program asked for */
    size_t align; /* the same; 1 for any */
    uintptr_t site; /* the return address in the program */
    uint32_t path;  /* PATH code: what served it */
};

/* The thread begins, or its process was forked: seeds it and draws every class anew. */
void hak_sample_start(void);
/* The thread has got blocks of this class for its list. */
void hak_sample_class(unsigned class);
/* Draws anew if the policy's mean has changed since, or who listens. */
void hak_sample_follow_policy(void);

/* The countdown of the class has run out at this block, which is off its list. Returns the
 * block to hand out: this one, or the sampled one that takes its place. */
void *hak_sample_popped(unsigned class, void *block, const struct hak_call *call);
/* The same for a block of `class` (HAK_CLASS_NONE: a big one) that came past the front. */
void *hak_sample_direct(unsigned class, void *block, const struct hak_call *call);

/* A block of a unit with tag SAMPLED comes back. */
void hak_sample_free(size_t unit, unsigned class, void *block);
/* A big block goes: if it was sampled, this is told. */
void hak_sample_forget(void *block);
/* The same in two steps, for one that may stay where it is after all. */
void hak_sample_moving(void *block);
void hak_sample_moved(int done);

void hak_sample_fork_prepare(void);
void hak_sample_fork_done(int in_child);
void hak_sample_fork_child(void); /* after the page is the child's own */

#endif
