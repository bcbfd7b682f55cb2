/*
 * span.h - runs of units for Mid and Large: taken, given back, joined with neighbours.
 *
 * Owner: the process, under one lock. Units come in chunks of 64 (4 MiB) from the zone; a
 * chunk's free units are one word of bits. Any thread. It knows which free units have
 * been written to (dirty), so that a taker may skip zeroing, and the purge finds what to
 * give back. It does not know classes.
 */
#ifndef HAK_SPAN_H
#define HAK_SPAN_H

#include "os/zone.h"

#define HAK_SPAN_MOST_UNITS 64

/* First unit, or HAK_NO_UNIT with errno as hak_zone_take(). *zeroed tells whether the
 * memory is all zero. 1 <= units <= HAK_SPAN_MOST_UNITS. */
size_t hak_span_take(size_t units, int *zeroed);
/* The units' map words are 0 by now. */
void hak_span_give(size_t unit, size_t units);

/* Makes a span longer or shorter where it is. 0: what lies behind is not free. */
int hak_span_resize(size_t unit, size_t units, size_t new_units);

/* Gives the pages of free units that have been dirty since the last call but one back to
 * the OS. Returns the bytes. */
size_t hak_span_purge(void);

/* Gives chunks without taken units back to the zone, since address space is short; returns
 * the bytes. */
size_t hak_span_reclaim(void);

void hak_span_fork_prepare(void);
void hak_span_fork_done(int in_child);

#endif
