/*
 * os.h - the only way to the operating system's memory, clocks and files.
 * Owner: the process; `hak_os` may be replaced before the first allocation by a test
 * that wants a mapping to fail. Any thread may call. Sizes in bytes, multiples of a
 * page. It does not count and does not retry: callers do.
 */
#ifndef HAK_OS_H
#define HAK_OS_H

#include "base/base.h"

struct hak_os_ops {
    /* Private zeroed memory at `hint` or nowhere (hint NULL: anywhere); NULL: refused. */
    void *(*map)(void *hint, size_t bytes);
    /* Address space without commitment, readable as zeros; NULL: refused. */
    void *(*reserve)(size_t bytes);
    int (*commit)(void *address, size_t bytes);
    int (*unmap)(void *address, size_t bytes);
    /* Moves, grows or shrinks a mapping: where it is (`to` is `address`), to a place whose
     * mapping it takes over, or to where there is room (`to` is NULL); NULL: refused. */
    void *(*remap)(void *address, size_t old_bytes, size_t new_bytes, void *to);
    int (*advise)(void *address, size_t bytes, int advice);
};

extern struct hak_os_ops hak_os;

/* HAKMEM_THP: never huge pages; where they are likely to be filled; wherever one fits. */
enum hak_thp { HAK_THP_OFF, HAK_THP_AUTO, HAK_THP_ON };
#define HAK_HUGE_PAGE_BYTES (2 * HAK_MIB)

uint64_t hak_os_now_ns(void);    /* CLOCK_MONOTONIC */
uint64_t hak_os_coarse_ns(void); /* the same, as of the last timer tick: for ages, and cheap */
size_t hak_os_address_space(void); /* RLIMIT_AS in bytes, or the largest size_t */
unsigned hak_os_cpu_count(void);
uint64_t hak_os_random(void); /* from the kernel; never blocks, falls back to the clock */
/* Bytes of these pages that are in memory, by mincore(2); all of them when it refuses. `bytes` is
 * at most HAK_HUGE_PAGE_BYTES. */
size_t hak_os_resident(const void *address, size_t bytes);
int hak_os_is_mapped(const void *address); /* by mincore(2); nothing is read */
/* Before libc has set `environ`, the environment is read from /proc into a static buffer. */
char **hak_os_environment(void);

#endif
