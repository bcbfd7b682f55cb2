/* Latency of slow paths, faults and RSS: see kpi.h and hakmem.h. */
#include "front/kpi.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/abi.h"
#include "core/policy.h"
#include "hakmem.h"
#include "os/os.h"

/* Eight bins to a doubling: a bin's middle is within 1/16 of whatever is in it. */
#define SUB_LG 3
#define SUB (1u << SUB_LG)
#define BINS (64 * SUB)

static uint64_t bins[BINS];

static unsigned bin_of(uint64_t ns)
{
    if (ns < SUB)
        return (unsigned)ns;
    unsigned lg = hak_lg(ns);
    return (lg - SUB_LG + 1) * SUB + (unsigned)(ns >> (lg - SUB_LG)) % SUB;
}

static uint64_t middle_of(unsigned bin)
{
    if (bin < SUB)
        return bin;
    unsigned shift = bin / SUB - 1;
    uint64_t low = (uint64_t)(SUB + bin % SUB) << shift;
    return low + ((uint64_t)1 << shift) / 2;
}

uint64_t hak_kpi_now(void)
{
    return hak_policy_now()->sample_bytes != 0 ? hak_os_now_ns() : 0;
}

void hak_kpi_note(uint64_t ns)
{
    hak_add_relaxed(&bins[bin_of(ns)], 1);
}

void hak_kpi_done(uint64_t start_ns)
{
    hak_kpi_note(hak_os_now_ns() - start_ns);
}

/* ---- asked for ------------------------------------------------------------------------ */

/* The least value that so many permille of the operations do not pass. */
static uint64_t quantile(const uint64_t *counts, uint64_t total, uint64_t permille)
{
    uint64_t wanted = (total * permille + 999) / 1000, seen = 0;
    for (unsigned bin = 0; bin < BINS; bin++)
        if ((seen += counts[bin]) >= wanted && seen != 0)
            return middle_of(bin);
    return 0;
}

static void fill_latency(struct hak_kpi *kpi)
{
    uint64_t counts[BINS], total = 0;
    for (unsigned bin = 0; bin < BINS; bin++)
        total += counts[bin] = hak_load_relaxed(&bins[bin]);
    kpi->operations = total;
    kpi->p50_ns = quantile(counts, total, 500);
    kpi->p95_ns = quantile(counts, total, 950);
    kpi->p99_ns = quantile(counts, total, 990);
}

/* The second word of statm: resident pages. 0: it cannot be read. */
static uint64_t rss_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *at = text;
    while (*at != '\0' && *at != ' ')
        at++;
    uint64_t pages = 0;
    for (at += *at == ' '; *at >= '0' && *at <= '9'; at++)
        pages = pages * 10 + (uint64_t)(*at - '0');
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

HAK_API int hak_get_kpi(struct hak_kpi *kpi)
{
    static uint64_t first_rss;
    struct rusage usage;
    int saved = errno;
    *kpi = (struct hak_kpi){.operations = 0};
    fill_latency(kpi);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        kpi->minor_faults = (uint64_t)usage.ru_minflt;
        kpi->major_faults = (uint64_t)usage.ru_majflt;
    }
    kpi->rss_bytes = rss_bytes();
    uint64_t before = 0;
    if (kpi->rss_bytes != 0 && hak_cas_acq_rel(&first_rss, &before, kpi->rss_bytes))
        before = kpi->rss_bytes;
    kpi->rss_delta_bytes = (int64_t)(kpi->rss_bytes - before);
    errno = saved;
    return kpi->rss_bytes != 0 ? 0 : -EIO;
}
