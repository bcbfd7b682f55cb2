#include "core/probe.h"

#include "base/atomic.h"

#include "core/log.h"

#ifndef HAK_BENCH_MINIMAL
#include <sys/sdt.h>

/* noipa: no clone, no constant propagation; the site stays one, its operands registers. */
#define HAK_SITE __attribute__((noinline, noclone, noipa))
#define U64(x) uint64_t x
/* A jump, with the arguments where they are, so that the site's operands stay registers. */
#define LOG(provider, name, a, b, c, d) \
    if (hak_unlikely(hak_load_relaxed(&hak_log_events) >> HAK_PROBE_##provider##_##name & 1)) \
        hak_log_event(a, b, c, d, HAK_PROBE_##provider##_##name)
#define HAK_PROBE1(provider, name, a, doc) \
    HAK_SITE void hak_probe_##name(U64(a)) \
    { \
        STAP_PROBE1(provider, name, a); \
        LOG(provider, name, a, 0, 0, 0); \
    }
#define HAK_PROBE2(provider, name, a, b, doc) \
    HAK_SITE void hak_probe_##name(U64(a), U64(b)) \
    { \
        STAP_PROBE2(provider, name, a, b); \
        LOG(provider, name, a, b, 0, 0); \
    }
#define HAK_PROBE3(provider, name, a, b, c, doc) \
    HAK_SITE void hak_probe_##name(U64(a), U64(b), U64(c)) \
    { \
        STAP_PROBE3(provider, name, a, b, c); \
        LOG(provider, name, a, b, c, 0); \
    }
#define HAK_PROBE4(provider, name, a, b, c, d, doc) \
    HAK_SITE void hak_probe_##name(U64(a), U64(b), U64(c), U64(d)) \
    { \
        STAP_PROBE4(provider, name, a, b, c, d); \
        LOG(provider, name, a, b, c, d); \
    }
#define HAK_PROBE6(provider, name, a, b, c, d, e, f, doc) \
    HAK_SITE void hak_probe_##name(U64(a), U64(b), U64(c), U64(d), U64(e), U64(f)) \
    { \
        STAP_PROBE6(provider, name, a, b, c, d, e, f); \
    }
#include "tables/probes.def"

#define NOP 0x90
#define BREAKPOINT 0xcc /* what an attached uprobe puts in the place of the site's nop */
#define PROLOGUE_BYTES 16

struct site {
    const volatile uint8_t *code;
    uint32_t offset; /* of the nop, plus 1; 0 before it was looked for */
};

#ifdef __x86_64__
static int is_attached(struct site *site)
{
    uint32_t known = hak_load_relaxed(&site->offset), at = known;
    while (at == 0 || (site->code[at - 1] != NOP && site->code[at - 1] != BREAKPOINT))
        if (++at > PROLOGUE_BYTES)
            return 0;
    if (at != known)
        hak_store_relaxed(&site->offset, at);
    return site->code[at - 1] == BREAKPOINT;
}
#else
static int is_attached(struct site *site)
{
    return site->code != NULL; /* not known, so as if */
}
#endif

int hak_probe_is_heard(void)
{
    static struct site alloc = {(const uint8_t *)hak_probe_alloc, 0};
    static struct site sample = {(const uint8_t *)hak_probe_sample_alloc, 0};
    return is_attached(&alloc) || is_attached(&sample);
}
#endif
