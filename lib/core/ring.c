/* The last events: see ring.h. */
#include "core/ring.h"

#include "base/atomic.h"

static struct hak_ring_event events[HAK_RING_EVENTS];
static uint64_t added;

void hak_ring_add(unsigned probe, const uint64_t values[4])
{
    uint64_t number = hak_add_relaxed(&added, 1) + 1;
    struct hak_ring_event *event = &events[number % HAK_RING_EVENTS];
    hak_store_relaxed(&event->number, 0);
    event->probe = probe;
    for (int i = 0; i < 4; i++)
        hak_store_relaxed(&event->values[i], values[i]);
    hak_store_release(&event->number, number);
}

void hak_ring_each(void (*show)(const struct hak_ring_event *event))
{
    uint64_t end = hak_load_relaxed(&added);
    uint64_t number = end > HAK_RING_EVENTS ? end - HAK_RING_EVENTS + 1 : 1;
    for (; number <= end; number++) {
        struct hak_ring_event event = events[number % HAK_RING_EVENTS];
        if (event.number == number)
            show(&event);
    }
}
