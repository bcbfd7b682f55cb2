#define _GNU_SOURCE
#include "os/lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A critical section here is some tens of nanoseconds: spin about that long first. */
#define SPINS 64

HAK_TLS int hak_lock_forking;

int hak_lock_wait(struct hak_lock *lock)
{
    int saved = errno;
    if (hak_lock_forking)
        return 0;
    for (int i = 0; i < SPINS; i++) {
        hak_cpu_relax();
        if (hak_load_relaxed(&lock->word) == 0 && hak_lock_try(lock))
            return 1;
    }
    while (hak_exchange_acquire(&lock->word, 2u) != 0)
        syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    errno = saved;
    return 1;
}

void hak_lock_wake(struct hak_lock *lock)
{
    int saved = errno;
    syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}
