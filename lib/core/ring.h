/*
 * ring.h - the last events, kept in memory and written out when asked for (HAKMEM_TRACE_RING).
 *
 * Any thread adds, by one atomic add; an event that is being written while it is dumped may
 * come out as half old, half new. Dumping is safe in a signal handler.
 */
#ifndef HAK_RING_H
#define HAK_RING_H

#include "base/base.h"

#define HAK_RING_EVENTS 1024u /* a power of two */

struct hak_ring_event {
    uint64_t number; /* from 1 on; 0: none yet */
    uint64_t values[4];
    uint32_t probe;
};

void hak_ring_add(unsigned probe, const uint64_t values[4]);

/* Calls back for each event that is kept, oldest first. */
void hak_ring_each(void (*show)(const struct hak_ring_event *event));

#endif
