/*
 * lock.h - a small futex lock for slow paths. One word, no owner, not recursive.
 * Any thread; never taken on the fast path. hak_lock_reset() is for a forked child,
 * whose other threads are gone. Returns from taking: 1 if it had to wait.
 */
#ifndef HAK_LOCK_H
#define HAK_LOCK_H

#include "base/atomic.h"

struct hak_lock {
    uint32_t word; /* 0 free, 1 taken, 2 taken and waited for */
};

/* Set while the calling thread forks and therefore holds every lock: other libraries'
 * fork handlers that allocate meanwhile walk through them. */
extern HAK_TLS int hak_lock_forking;

int hak_lock_wait(struct hak_lock *lock);
void hak_lock_wake(struct hak_lock *lock);

HAK_INLINE int hak_lock_take(struct hak_lock *lock)
{
    uint32_t free_word = 0;
    if (hak_likely(hak_cas_acquire(&lock->word, &free_word, 1)))
        return 0;
    return hak_lock_wait(lock);
}

HAK_INLINE int hak_lock_try(struct hak_lock *lock)
{
    uint32_t free_word = 0;
    return hak_cas_acquire(&lock->word, &free_word, 1);
}

HAK_INLINE void hak_lock_release(struct hak_lock *lock)
{
    if (hak_unlikely(hak_lock_forking))
        return;
    if (hak_unlikely(__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2))
        hak_lock_wake(lock);
}

HAK_INLINE void hak_lock_reset(struct hak_lock *lock) { hak_store_relaxed(&lock->word, 0); }

/* After fork(), of a lock that was taken before it: the child's other threads are gone. */
HAK_INLINE void hak_lock_fork_done(struct hak_lock *lock, int in_child)
{
    if (in_child)
        hak_lock_reset(lock);
    else
        hak_lock_release(lock);
}

#endif
