/*
 * slotlist.h - a lock-free stack of slots, linked through the zone's table of links.
 *
 * An entry is a hint that its slot was in a certain state when it was pushed. A slot is
 * in at most one list (HAK_SLOT_LISTED in its state word says so). The head carries a
 * tag against ABA. Any thread.
 */
#ifndef HAK_SLOTLIST_H
#define HAK_SLOTLIST_H

#include "slab/superslab.h"

struct hak_slotlist {
    uint64_t head; /* tag << 32 | unit + 1; 0 in the low half is the end */
} HAK_CACHE_ALIGNED;

HAK_INLINE void hak_slotlist_push(struct hak_slotlist *list, size_t unit)
{
    uint64_t head = hak_load_relaxed(&list->head), next;
    do {
        hak_store_relaxed(&hak_zone.next[unit], (uint32_t)head);
        next = ((head >> 32) + 1) << 32 | (uint32_t)(unit + 1);
    } while (!hak_cas_acq_rel(&list->head, &head, next));
}

HAK_INLINE int hak_slotlist_is_empty(const struct hak_slotlist *list)
{
    return (uint32_t)hak_load_relaxed(&list->head) == 0;
}

/* HAK_NO_UNIT when empty. The caller clears HAK_SLOT_LISTED. */
HAK_INLINE size_t hak_slotlist_pop(struct hak_slotlist *list)
{
    uint64_t head = hak_load_acquire(&list->head), next;
    do {
        if ((uint32_t)head == 0)
            return HAK_NO_UNIT;
        next = ((head >> 32) + 1) << 32 | hak_load_relaxed(&hak_zone.next[(uint32_t)head - 1]);
    } while (!hak_cas_acq_rel(&list->head, &head, next));
    return (uint32_t)head - 1;
}

#endif
