/*
 * probe.h - the USDT probes as functions: hak_probe_<name>(arg...).
 *
 * Each probe is one out-of-line function, so that it has one site, and its arguments
 * sit in registers, 8 bytes wide. Unattached it costs a call and a one-byte nop:
 * slow paths only. Any thread may call. BENCH_MINIMAL compiles probes out.
 */
#ifndef HAK_PROBE_H
#define HAK_PROBE_H

#include "base/base.h"

/* Is anything attached to the probes of sampled allocations? A few loads. */
#ifdef HAK_BENCH_MINIMAL
HAK_INLINE int hak_probe_is_heard(void) { return 0; }
#define HAK_PROBE_DECLARE(name, ...) HAK_INLINE void hak_probe_##name(__VA_ARGS__) {}
#else
int hak_probe_is_heard(void);
#define HAK_PROBE_DECLARE(name, ...) void hak_probe_##name(__VA_ARGS__);
#endif

#define U64(x) uint64_t x __attribute__((unused))
#define HAK_PROBE1(provider, name, a, doc) HAK_PROBE_DECLARE(name, U64(a))
#define HAK_PROBE2(provider, name, a, b, doc) HAK_PROBE_DECLARE(name, U64(a), U64(b))
#define HAK_PROBE3(provider, name, a, b, c, doc) HAK_PROBE_DECLARE(name, U64(a), U64(b), U64(c))
#define HAK_PROBE4(provider, name, a, b, c, d, doc) \
    HAK_PROBE_DECLARE(name, U64(a), U64(b), U64(c), U64(d))
#define HAK_PROBE6(provider, name, a, b, c, d, e, f, doc) \
    HAK_PROBE_DECLARE(name, U64(a), U64(b), U64(c), U64(d), U64(e), U64(f))
#include "tables/probes.def"
#undef HAK_PROBE1
#undef HAK_PROBE2
#undef HAK_PROBE3
#undef HAK_PROBE4
#undef HAK_PROBE6
#undef U64

#endif
