/*
 * note.h - what is written down about an allocation that misses the front: the site that asked
 * (sites), the size while a learner runs (deal), the time of one in many (kpi).
 *
 * Any thread, on its slow path. It does not decide what is kept: the three do.
 */
#ifndef HAK_NOTE_H
#define HAK_NOTE_H

#include "front/deal.h"
#include "front/kpi.h"
#include "front/sites.h"

struct hak_note {
    uint64_t refilled; /* blocks that refills of the class had brought this thread before */
    uint64_t start_ns; /* 0: not timed */
};

uint64_t hak_note_refilled(unsigned class);
void hak_note_site(const void *block, const struct hak_call *call, unsigned class,
                   uint64_t refilled);
void hak_note_size(size_t bytes, unsigned class, uint64_t refilled);

HAK_INLINE int hak_note_is_wanted(void)
{
    return hak_unlikely(hak_sites_on | hak_deal_counts_sizes);
}

HAK_INLINE struct hak_note hak_note_begin(unsigned class)
{
    return (struct hak_note){hak_note_is_wanted() ? hak_note_refilled(class) : 0,
                             hak_kpi_begin(&hak_front)};
}

/* block: NULL when there was no memory. */
HAK_INLINE void hak_note_end(const struct hak_note *note, const void *block,
                             const struct hak_call *call, unsigned class)
{
    if (hak_unlikely(note->start_ns != 0))
        hak_kpi_done(note->start_ns);
    if (hak_unlikely(hak_deal_counts_sizes) && block != NULL)
        hak_note_size(call->bytes, class, note->refilled);
    if (hak_unlikely(hak_sites_on) && block != NULL)
        hak_note_site(block, call, class, note->refilled);
}

#endif
