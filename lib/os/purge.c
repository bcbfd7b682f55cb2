#include "os/purge.h"

#include <sys/mman.h>

#include "core/config.h"
#include "core/counters.h"
#include "core/probe.h"
#include "os/os.h"

#define WAITING_MOST 64
#define COLD_MOST 256

struct range {
    char *address;
    size_t bytes;
    uint64_t since_ns;
};

static struct {
    struct range waiting[WAITING_MOST]; /* by time of arrival */
    size_t waiting_count, waiting_bytes;
    struct range cold[COLD_MOST];       /* by time of the flush */
    size_t cold_count, cold_bytes;
} batch;

static void remove_at(struct range *ranges, size_t *count, size_t at)
{
    (*count)--;
    for (size_t i = at; i < *count; i++)
        ranges[i] = ranges[i + 1];
}

static int find(const struct range *ranges, size_t count, size_t bytes)
{
    for (size_t i = count; i-- > 0;) /* the youngest is the likeliest to be in memory */
        if (ranges[i].bytes == bytes)
            return (int)i;
    return -1;
}

void *hak_purge_take(size_t bytes)
{
    int at = find(batch.waiting, batch.waiting_count, bytes);
    if (at >= 0) {
        void *address = batch.waiting[at].address;
        batch.waiting_bytes -= bytes;
        remove_at(batch.waiting, &batch.waiting_count, (size_t)at);
        return address;
    }
    at = find(batch.cold, batch.cold_count, bytes);
    if (at < 0)
        return NULL;
    void *address = batch.cold[at].address;
    batch.cold_bytes -= bytes;
    remove_at(batch.cold, &batch.cold_count, (size_t)at);
    return address;
}

static void unmap(const struct range *range)
{
    hak_os.unmap(range->address, range->bytes);
    hak_gauge_add(big_unmaps, 1);
    hak_gauge_add(mapped_bytes, -(int64_t)range->bytes);
}

static void unmap_oldest(void)
{
    unmap(&batch.cold[0]);
    batch.cold_bytes -= batch.cold[0].bytes;
    remove_at(batch.cold, &batch.cold_count, 0);
}

static void sort_by_address(struct range *ranges, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct range moving = ranges[i];
        size_t at = i;
        for (; at > 0 && ranges[at - 1].address > moving.address; at--)
            ranges[at] = ranges[at - 1];
        ranges[at] = moving;
    }
}

/* One call for each run of neighbours. MADV_FREE is refused by kernels before 4.5 and
 * for locked memory. */
static void advise_runs(const struct range *sorted, size_t count, int advice)
{
    for (size_t i = 0; i < count;) {
        char *start = sorted[i].address, *end = start + sorted[i].bytes;
        for (i++; i < count && sorted[i].address == end; i++)
            end += sorted[i].bytes;
        if (hak_os.advise(start, (size_t)(end - start), advice) != 0 && advice != MADV_DONTNEED)
            hak_os.advise(start, (size_t)(end - start), MADV_DONTNEED);
    }
}

enum purge_advice { ADVICE_FREE, ADVICE_DONTNEED };

static void flush(uint64_t now_ns)
{
    int advice = hak_knob(purge_advice) == ADVICE_FREE ? MADV_FREE : MADV_DONTNEED;
    size_t count = batch.waiting_count, bytes = batch.waiting_bytes;
    if (count == 0)
        return;
    uint64_t start_ns = hak_os_now_ns();
    sort_by_address(batch.waiting, count);
    advise_runs(batch.waiting, count, advice);
    for (size_t i = 0; i < count; i++) {
        while (batch.cold_count >= COLD_MOST)
            unmap_oldest();
        batch.waiting[i].since_ns = now_ns;
        batch.cold_bytes += batch.waiting[i].bytes;
        batch.cold[batch.cold_count++] = batch.waiting[i];
    }
    batch.waiting_count = batch.waiting_bytes = 0;
    hak_gauge_add(batch_flushes, 1);
    hak_gauge_add(batch_flushed_bytes, bytes);
    hak_probe_madvise_batch(count, bytes, (uint64_t)advice,
                            hak_os_now_ns() - start_ns);
}

static void unmap_long_cold(uint64_t now_ns)
{
    uint64_t long_ns = (uint64_t)hak_knob(cold_unmap_ms) * 1000000u;
    while (batch.cold_count != 0 && now_ns - batch.cold[0].since_ns > long_ns)
        unmap_oldest();
}

size_t hak_purge_bytes(void)
{
    int gone = hak_knob(purge_advice) == ADVICE_DONTNEED;
    return batch.waiting_bytes + (gone ? 0 : batch.cold_bytes);
}

void hak_purge_limit(size_t most_bytes, uint64_t now_ns)
{
    if (hak_purge_bytes() <= most_bytes)
        return;
    flush(now_ns);
    if (hak_knob(purge_advice) == ADVICE_DONTNEED)
        return;
    while (batch.cold_count != 0 && batch.cold_bytes > most_bytes)
        unmap_oldest();
}

size_t hak_purge_unmap_all(void)
{
    size_t bytes = batch.waiting_bytes + batch.cold_bytes;
    while (batch.cold_count != 0)
        unmap_oldest();
    for (size_t i = 0; i < batch.waiting_count; i++)
        unmap(&batch.waiting[i]);
    batch.waiting_count = batch.waiting_bytes = 0;
    return bytes;
}

void hak_purge_tick(uint64_t now_ns)
{
    uint64_t wait_ns = (uint64_t)hak_knob(batch_age_ms) * 1000000u;
    if (batch.waiting_count != 0 && now_ns - batch.waiting[0].since_ns > wait_ns)
        flush(now_ns);
    unmap_long_cold(now_ns);
}

void hak_purge_add(void *address, size_t bytes, uint64_t now_ns)
{
    hak_gauge_add(batch_blocks, 1);
    hak_probe_batch_add(bytes);
    batch.waiting[batch.waiting_count++] = (struct range){address, bytes, now_ns};
    batch.waiting_bytes += bytes;
    if (batch.waiting_count >= hak_min((size_t)hak_knob(batch_count), WAITING_MOST) ||
        batch.waiting_bytes >= (size_t)hak_knob(batch_bytes) << 20)
        flush(now_ns);
    hak_purge_tick(now_ns);
}
