/*
 * log.h - events as lines on stderr, for those that the knobs ask for (HAKMEM_LOG,
 * HAKMEM_DEBUG_*, HAKMEM_ACE_TRACE). A line has the probe's name and its arguments.
 *
 * Any thread, on slow paths: a probe's function looks at one word. What HAKMEM_LOG asks
 * for is told at its 1st, 2nd, 4th, 8th ... time, so that a storm stays readable; what a
 * debug knob asks for is told each time. Publishers of a policy set the word.
 */
#ifndef HAK_LOG_H
#define HAK_LOG_H

#include "base/base.h"

/* HAK_PROBE_<provider>_<name>: a probe's number in the table. */
enum hak_probe_index {
#define HAK_PROBE1(provider, name, a, doc) HAK_PROBE_##provider##_##name,
#define HAK_PROBE2(provider, name, a, b, doc) HAK_PROBE_##provider##_##name,
#define HAK_PROBE3(provider, name, a, b, c, doc) HAK_PROBE_##provider##_##name,
#define HAK_PROBE4(provider, name, a, b, c, d, doc) HAK_PROBE_##provider##_##name,
#define HAK_PROBE6(provider, name, a, b, c, d, e, f, doc) HAK_PROBE_##provider##_##name,
#include "tables/probes.def"
#undef HAK_PROBE1
#undef HAK_PROBE2
#undef HAK_PROBE3
#undef HAK_PROBE4
#undef HAK_PROBE6
    HAK_PROBE_COUNT
};

extern uint64_t hak_log_events; /* a bit for each probe, in the table's order */

/* Takes the knobs over; called when a policy is published. */
void hak_log_follow_knobs(void);

/* One event happened; `probe` is its number in the table. Keeps errno. */
void hak_log_event(uint64_t a, uint64_t b, uint64_t c, uint64_t d, unsigned probe);

/* Writes the last events out; safe in a signal handler. */
void hak_log_dump_ring(void);

#endif
