/* Events as lines on stderr: see log.h. */
#include "core/log.h"

#include "base/atomic.h"
#include "base/text.h"
#include "core/config.h"
#include "core/ring.h"

static const struct {
    const char *name, *arguments[4];
} probes[] = {
#define HAK_PROBE1(provider, name, a, doc) {#name, {#a}},
#define HAK_PROBE2(provider, name, a, b, doc) {#name, {#a, #b}},
#define HAK_PROBE3(provider, name, a, b, c, doc) {#name, {#a, #b, #c}},
#define HAK_PROBE4(provider, name, a, b, c, d, doc) {#name, {#a, #b, #c, #d}},
#define HAK_PROBE6(provider, name, a, b, c, d, e, f, doc) {#name, {#a, #b, #c, #d}},
#include "tables/probes.def"
};

_Static_assert(HAK_PROBE_COUNT <= 64, "more probes than bits");
_Static_assert(HAK_COUNT_OF(probes) == HAK_PROBE_COUNT, "one name for each");

#define BIT(name) ((uint64_t)1 << HAK_PROBE_hakmem_##name)
#define WARNINGS (BIT(shared_fail) | BIT(ace_fail) | BIT(integrity))
#define DECISIONS \
    (BIT(superslab_map) | BIT(superslab_unmap) | BIT(bigcache_evict) | BIT(madvise_batch) | \
     BIT(publish) | BIT(adopt) | BIT(policy_publish) | BIT(elo_select) | BIT(lifecycle))

uint64_t hak_log_events;
static uint64_t told;      /* those that become lines; the others go to the ring only */
static uint64_t each_time; /* those of debug knobs */
static uint64_t times[HAK_PROBE_COUNT];

void hak_log_follow_knobs(void)
{
    int64_t level = hak_knob(log);
    uint64_t wanted = level == HAK_LOG_OFF ? 0 : WARNINGS;
    uint64_t each = 0;
    if (level == HAK_LOG_ON)
        wanted |= DECISIONS;
    if (hak_knob(debug_acquire))
        each |= BIT(stage_hit) | BIT(shared_fail);
    if (hak_knob(debug_release))
        each |= BIT(slab_empty);
    if (hak_knob(debug_superslab))
        each |= BIT(superslab_map) | BIT(superslab_unmap);
    if (hak_knob(ace_trace))
        each |= BIT(ace_fail);
    hak_store_relaxed(&each_time, each);
    hak_store_relaxed(&told, wanted | each);
    hak_store_relaxed(&hak_log_events, hak_knob(trace_ring) ? ~(uint64_t)0 : wanted | each);
}

/* Addresses and other large numbers read better in hexadecimal. */
#define HEX_FROM ((uint64_t)1 << 40)

static void add_argument(struct hak_text *line, const char *name, uint64_t value)
{
    hak_text_add(line, " ");
    hak_text_add(line, name);
    hak_text_add(line, "=");
    if (value >= HEX_FROM)
        hak_text_add_hex(line, value);
    else
        hak_text_add_u64(line, value);
}

static void add_event(struct hak_text *line, unsigned probe, const uint64_t values[4])
{
    hak_text_add(line, probes[probe].name);
    for (int i = 0; i < 4 && probes[probe].arguments[i] != NULL; i++)
        add_argument(line, probes[probe].arguments[i], values[i]);
}

HAK_COLD void hak_log_event(uint64_t a, uint64_t b, uint64_t c, uint64_t d, unsigned probe)
{
    HAK_TEXT(line, 256);
    const uint64_t values[4] = {a, b, c, d};
    if (hak_knob(trace_ring))
        hak_ring_add(probe, values);
    if (!(hak_load_relaxed(&told) >> probe & 1))
        return;
    uint64_t time = hak_add_relaxed(&times[probe], 1) + 1;
    if (!(hak_load_relaxed(&each_time) >> probe & 1) && (time & (time - 1)) != 0)
        return;
    hak_text_add(&line, "hakmem: ");
    add_event(&line, probe, values);
    add_argument(&line, "times", time);
    hak_text_add(&line, "\n");
    hak_text_flush(&line);
}

static void show(const struct hak_ring_event *event)
{
    HAK_TEXT(line, 256);
    hak_text_add(&line, "hakmem: ring ");
    hak_text_add_u64(&line, event->number);
    hak_text_add(&line, " ");
    add_event(&line, event->probe % HAK_PROBE_COUNT, event->values);
    hak_text_add(&line, "\n");
    hak_text_flush(&line);
}

void hak_log_dump_ring(void)
{
    hak_ring_each(show);
}
