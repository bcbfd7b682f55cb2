/*
 * kpi.h - how long allocations take that miss the front: what hak_get_kpi() tells (hakmem.h).
 *
 * One in many slow paths of a thread is timed, and counted in a histogram of the process, by
 * atomic adds, any thread. A hit has no clock, so hits are not in it. Nothing is timed while
 * HAKMEM_SAMPLE_BYTES is 0.
 */
#ifndef HAK_KPI_H
#define HAK_KPI_H

#include "front/front.h"

#define HAK_KPI_EVERY 64 /* slow paths; not the one that looks after the process (slow.c) */
#define HAK_KPI_PHASE 1

uint64_t hak_kpi_now(void); /* 0 while nothing is to be timed */
void hak_kpi_note(uint64_t ns);
void hak_kpi_done(uint64_t start_ns);

/* When the slow path that begins now is to be timed: its start, else 0. */
HAK_INLINE uint64_t hak_kpi_begin(const struct hak_front *front)
{
#ifndef HAK_BENCH_MINIMAL
    if (hak_unlikely(front->slow_paths % HAK_KPI_EVERY == HAK_KPI_PHASE))
        return hak_kpi_now();
#endif
    (void)front;
    return 0;
}

#endif
