#define _GNU_SOURCE
#include "os/os.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static void *os_map(void *hint, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (hint != NULL ? MAP_FIXED_NOREPLACE : 0);
    void *at = mmap(hint, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    if (hint != NULL && at != hint) { /* a kernel before 4.17 takes the hint as a wish */
        munmap(at, bytes);
        errno = EEXIST;
        return NULL;
    }
    return at;
}

/* Read-only private memory is not charged to the commit limit, whatever
 * vm.overcommit_memory says; a part is charged when commit() makes it writable. */
static void *os_reserve(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static int os_commit(void *address, size_t bytes)
{
    return mprotect(address, bytes, PROT_READ | PROT_WRITE);
}

static int os_unmap(void *address, size_t bytes)
{
    return munmap(address, bytes);
}

static void *os_remap(void *address, size_t old_bytes, size_t new_bytes, void *to)
{
    int flags = to == NULL ? MREMAP_MAYMOVE : to != address ? MREMAP_MAYMOVE | MREMAP_FIXED : 0;
    void *at = mremap(address, old_bytes, new_bytes, flags, to);
    return at == MAP_FAILED ? NULL : at;
}

static int os_advise(void *address, size_t bytes, int advice)
{
    return madvise(address, bytes, advice);
}

struct hak_os_ops hak_os = {os_map, os_reserve, os_commit, os_unmap, os_remap, os_advise};

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t hak_os_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t hak_os_coarse_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

size_t hak_os_address_space(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

unsigned hak_os_cpu_count(void)
{
    unsigned long mask[16]; /* 1024 processors */
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    unsigned count = 0;
    for (long i = 0; i < bytes / (long)sizeof mask[0]; i++)
        count += (unsigned)__builtin_popcountl(mask[i]);
    return count != 0 ? count : 1;
}

uint64_t hak_os_random(void)
{
    uint64_t value = 0;
    if (syscall(SYS_getrandom, &value, sizeof value, 1 /* GRND_NONBLOCK */) != sizeof value)
        value = hak_os_now_ns() * 0x9e3779b97f4a7c15u;
    return value;
}

size_t hak_os_resident(const void *address, size_t bytes)
{
    unsigned char resident[HAK_HUGE_PAGE_BYTES / HAK_PAGE_BYTES];
    size_t pages = hak_min(bytes, HAK_HUGE_PAGE_BYTES) / HAK_PAGE_BYTES, count = 0;
    if (mincore((void *)(uintptr_t)address, pages * HAK_PAGE_BYTES, resident) != 0)
        return bytes;
    for (size_t i = 0; i < pages; i++)
        count += resident[i] & 1;
    return count * HAK_PAGE_BYTES;
}

int hak_os_is_mapped(const void *address)
{
    unsigned char resident;
    uintptr_t page = (uintptr_t)address & ~(HAK_PAGE_BYTES - 1);
    return mincore((void *)page, 1, &resident) == 0;
}

extern char **environ;

#define EARLY_ENVIRONMENT_BYTES 16384
#define EARLY_ENVIRONMENT_VARS 512

char **hak_os_environment(void)
{
    static char bytes[EARLY_ENVIRONMENT_BYTES];
    static char *vars[EARLY_ENVIRONMENT_VARS + 1];
    if (environ != NULL)
        return environ;
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vars;
    size_t length = 0;
    for (ssize_t got; length < sizeof bytes - 1; length += (size_t)got)
        if ((got = read(fd, bytes + length, sizeof bytes - 1 - length)) <= 0)
            break;
    close(fd);
    size_t count = 0;
    for (size_t at = 0; at < length && count < EARLY_ENVIRONMENT_VARS; count++) {
        vars[count] = bytes + at;
        while (bytes[at++] != '\0')
            ;
    }
    vars[count] = NULL;
    return vars;
}
