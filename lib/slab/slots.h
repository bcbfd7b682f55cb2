/*
 * slots.h - the slots of all SuperSlabs: whose turn they are, which lists hint at them.
 *
 * What the stages of the shared pool and its idle work have in common. A slot changes hands
 * by a CAS of its state word; lists are lock-free, and an entry is only a hint: who pops one
 * claims the slot, or lets it go. Any thread. Only slab/shared_pool and slab/pool_idle use it.
 */
#ifndef HAK_SLOTS_H
#define HAK_SLOTS_H

#include "core/policy.h"
#include "os/lock.h"
#include "slab/slotlist.h"

/* SuperSlabs of a class that stage 0.5 can look at: the knob's upper bound. */
#define HAK_REGISTRY_CAPACITY 4096

struct hak_class_pool {
    struct hak_slotlist warm;      /* hints of EMPTY slots of which most pages have been cut */
    struct hak_slotlist cold;      /* hints of other EMPTY slots */
    struct hak_slotlist mailbox;   /* hints of PUBLISHED slots */
    uint32_t active;               /* slots of the class that are not EMPTY */
    uint32_t peak;                 /* the most that `active` has been */
    uint32_t empty_count;          /* EMPTY slots */
    uint32_t empty_least;          /* the fewest there were since the last purge */
    uint32_t unowned;              /* PUBLISHED slots */
    uint32_t superslab_lg;         /* size of the next SuperSlab for it; 0: not decided */
    uint32_t registered;           /* SuperSlabs in the registry */
} HAK_CACHE_ALIGNED;

extern struct hak_class_pool hak_pools[HAK_TINY_CLASS_CAPACITY];

/* First units of the SuperSlabs that each class has had slots in. The first of all classes lie
 * together: a small program touches a page of it. */
extern uint32_t hak_registry[HAK_REGISTRY_CAPACITY][HAK_TINY_CLASS_CAPACITY];

struct hak_pool {
    struct hak_lock lock;         /* mapping of SuperSlabs, and the registries */
    struct hak_superslab *open;   /* has UNUSED slots, or NULL */
    struct hak_slotlist unused;   /* hints of slots that are UNUSED again: purged ones */
};

extern struct hak_pool hak_pool;

HAK_INLINE unsigned hak_slot_index_of(size_t unit)
{
    return hak_slot_index(hak_load_relaxed(&hak_zone.state[unit]));
}

HAK_INLINE unsigned hak_slot_class_of(size_t unit)
{
    return hak_slot_class(hak_load_relaxed(&hak_zone.state[unit]));
}

/* The slot goes from `from` to ACTIVE and is the caller's; 0: it is not in that state. */
int hak_slot_claim(size_t unit, enum hak_slot_state from);
/* The caller's ACTIVE slot goes to `to` under `class`. */
void hak_slot_set(size_t unit, enum hak_slot_state to, unsigned class);
/* It becomes an EMPTY one of the class, counted and listed. */
void hak_slot_make_empty(size_t unit, unsigned class);
/* Pushes a hint of a slot that is EMPTY by this word, to the list where it belongs. */
void hak_slot_list_empty(size_t unit, uint32_t word);
/* Pushes a hint, unless an older one still leads to the slot. */
void hak_slot_list(struct hak_slotlist *list, size_t unit);
/* The hint to it has been popped. */
void hak_slot_unlist(size_t unit);
/* Pops hints until one leads to a slot that is still `wanted`: claimed, or HAK_NO_UNIT. */
size_t hak_slot_pop(struct hak_slotlist *list, enum hak_slot_state wanted);

/* An EMPTY slot of the class, a warm one if there is one; it is not counted as EMPTY any more.
 * HAK_NO_UNIT: none. */
size_t hak_slot_pop_empty(unsigned class);
size_t hak_slot_pop_warm(unsigned class); /* only a warm one */

/* `n` more (or fewer) slots of the class that are not EMPTY, or that are. */
void hak_slot_count_active(unsigned class, int n);
void hak_slot_count_empty(unsigned class, int n);

#endif
