#include "slab/slots.h"

#include "core/config.h"

struct hak_class_pool hak_pools[HAK_TINY_CLASS_CAPACITY];
uint32_t hak_registry[HAK_REGISTRY_CAPACITY][HAK_TINY_CLASS_CAPACITY];
struct hak_pool hak_pool;

static void note_peak(unsigned class, uint32_t active)
{
    uint32_t peak = hak_load_relaxed(&hak_pools[class].peak);
    while (active > peak && !hak_cas_acq_rel(&hak_pools[class].peak, &peak, active))
        ;
    if (active > peak)
        hak_gauge_class_add(class, peak_slots, active - peak);
}

void hak_slot_count_active(unsigned class, int n)
{
    note_peak(class, hak_add_relaxed(&hak_pools[class].active, (uint32_t)n) + (uint32_t)n);
    hak_gauge_class_add(class, active_slots, n);
    hak_gauge_class_add(class, mapped_class_bytes, n * (int64_t)HAK_UNIT_BYTES);
}

void hak_slot_count_empty(unsigned class, int n)
{
    uint32_t now = hak_add_relaxed(&hak_pools[class].empty_count, (uint32_t)n) + (uint32_t)n;
    if (now < hak_load_relaxed(&hak_pools[class].empty_least))
        hak_store_relaxed(&hak_pools[class].empty_least, now);
    hak_gauge_class_add(class, empty_slots, n);
}

/* The slot goes from `from` to ACTIVE if it is in that state; flags stay but KNOCKED. */
int hak_slot_claim(size_t unit, enum hak_slot_state from)
{
    uint32_t word = hak_load_acquire(&hak_zone.state[unit]), active;
    do {
        if (hak_slot_state(word) != from)
            return 0;
        active = (word & ~(HAK_SLOT_STATE_MASK | HAK_SLOT_KNOCKED | HAK_SLOT_WARM)) |
                 HAK_SLOT_ACTIVE;
    } while (!hak_cas_acq_rel(&hak_zone.state[unit], &word, active));
    return 1;
}

/* LISTED and KNOCKED stay (a knock may have come between giving up ownership and this). */
static void set(size_t unit, uint32_t to)
{
    uint32_t *state = &hak_zone.state[unit];
    uint32_t word = hak_load_relaxed(state), next;
    do
        next = (word & (HAK_SLOT_LISTED | HAK_SLOT_KNOCKED)) | to;
    while (!hak_cas_acq_rel(state, &word, next));
}

void hak_slot_set(size_t unit, enum hak_slot_state to, unsigned class)
{
    set(unit, hak_slot_word(to, class, hak_slot_index_of(unit)));
}

/* A slot with fewer pages in memory is as good as an UNUSED one to other classes. */
#define FEWEST_WARM (HAK_UNIT_BYTES / HAK_PAGE_BYTES / 2)

void hak_slot_make_empty(size_t unit, unsigned class)
{
    int is_warm = hak_slab_warm_pages(hak_slab_of_unit(unit)) >= FEWEST_WARM;
    uint32_t word = hak_slot_word(HAK_SLOT_EMPTY, class, hak_slot_index_of(unit));
    word |= is_warm ? HAK_SLOT_WARM : 0;
    set(unit, word);
    hak_slot_count_empty(class, 1);
    hak_slot_list_empty(unit, word);
}

void hak_slot_list_empty(size_t unit, uint32_t word)
{
    struct hak_class_pool *home = &hak_pools[hak_slot_class(word)];
    hak_slot_list(word & HAK_SLOT_WARM ? &home->warm : &home->cold, unit);
}

void hak_slot_list(struct hak_slotlist *list, size_t unit)
{
    uint32_t word = __atomic_fetch_or(&hak_zone.state[unit], HAK_SLOT_LISTED, __ATOMIC_ACQ_REL);
    if (!(word & HAK_SLOT_LISTED)) /* an older entry, in whatever list, still leads here */
        hak_slotlist_push(list, unit);
}

void hak_slot_unlist(size_t unit)
{
    hak_and_acq_rel(&hak_zone.state[unit], ~HAK_SLOT_LISTED);
}

/* Pops hints until one leads to a slot that is still `wanted`. A slot that has changed
 * sides meanwhile goes to the list where it belongs. */
size_t hak_slot_pop(struct hak_slotlist *list, enum hak_slot_state wanted)
{
    for (;;) {
        size_t unit = hak_slotlist_pop(list);
        if (unit == HAK_NO_UNIT)
            return HAK_NO_UNIT;
        hak_slot_unlist(unit);
        if (hak_slot_claim(unit, wanted))
            return unit;
        uint32_t word = hak_load_acquire(&hak_zone.state[unit]);
        if (hak_slot_state(word) == HAK_SLOT_EMPTY)
            hak_slot_list_empty(unit, word);
        else if (hak_slot_state(word) == HAK_SLOT_PUBLISHED && hak_knob(ss_adopt))
            hak_slot_list(&hak_pools[hak_slot_class(word)].mailbox, unit);
    }
}

/* It may have been opened for another class, and left again, since it was listed. */
static size_t pop_from(struct hak_slotlist *list)
{
    size_t unit = hak_slot_pop(list, HAK_SLOT_EMPTY);
    if (unit != HAK_NO_UNIT)
        hak_slot_count_empty(hak_slot_class_of(unit), -1);
    return unit;
}

size_t hak_slot_pop_warm(unsigned class)
{
    return pop_from(&hak_pools[class].warm);
}

size_t hak_slot_pop_empty(unsigned class)
{
    size_t unit = hak_slot_pop_warm(class);
    return unit != HAK_NO_UNIT ? unit : pop_from(&hak_pools[class].cold);
}
