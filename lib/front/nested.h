/*
 * nested.h - calls of a signal handler that has interrupted the allocator on its own thread.
 *
 * A slow path holds locks and has half-changed lists under its hands; a handler that comes in
 * between and allocates would wait for itself, or see them. So a slow path says that it is in
 * there, and a call that finds it so is served from an arena of its own: address space mapped at
 * the first such call, changed by single atomic steps. What such a call frees waits until the slow
 * path is done. Any thread; only this room calls. Outside a slow path nothing of this is looked at.
 *
 * It does not make the fast path whole: a handler that comes between its load and its store, and
 * keeps or frees a block of that very class, breaks the list, as with any thread's cache.
 */
#ifndef HAK_NESTED_H
#define HAK_NESTED_H

#include "front/front.h"

/* 1: the slow path is this call's, to be left by hak_slow_leave(). 0: it is nested in one. */
HAK_INLINE int hak_slow_enter(struct hak_front *front)
{
    if (hak_unlikely(front->in_slow))
        return 0;
    front->in_slow = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return 1;
}

void hak_nested_free_waiting(struct hak_front *front);

HAK_INLINE void hak_slow_leave(struct hak_front *front)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    front->in_slow = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (hak_unlikely(front->waiting != NULL))
        hak_nested_free_waiting(front);
}

/* Of a thread that is in a slow path, around what may call malloc by itself: libc's functions. */
HAK_INLINE uint32_t hak_slow_pause(struct hak_front *front)
{
    uint32_t before = front->in_slow;
    front->in_slow = 0;
    return before;
}

HAK_INLINE void hak_slow_go_on(struct hak_front *front, uint32_t before)
{
    front->in_slow = before;
}

/* From the arena; not zeroed. NULL: it is used up, or could not be mapped. */
void *hak_nested_alloc(size_t bytes, size_t align);
/* Bytes that the program may use of a block of the arena; 0: it is none. */
size_t hak_nested_usable(const void *block);
void hak_nested_free(void *block);
/* The block is freed when the slow path that was interrupted is done. */
void hak_nested_free_later(struct hak_front *front, void *block);

/* `list` becomes the class's, together with what a handler has pushed meanwhile. */
void hak_nested_set_list(struct hak_front *front, unsigned class, void *list);

#endif
