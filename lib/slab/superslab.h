/*
 * superslab.h - the SuperSlab's header, its slabs, and the state of its slots.
 *
 * A SuperSlab is 512 KiB to 2 MiB of units, naturally aligned; its first 2048 bytes are
 * the header below. A slot's state lies outside, in the zone's state table, so that a
 * thread which lost a race may look at a SuperSlab that is gone.
 *
 * Who writes: a slab's fields belong to its owner (the thread that got it from the
 * shared pool or the mailbox), but for `remote`. A state word changes by CAS.
 */
#ifndef HAK_SUPERSLAB_H
#define HAK_SUPERSLAB_H

#include "core/counters.h"
#include "os/zone.h"
#include "slab/sizeclass.h"

#define HAK_SUPERSLAB_HEADER_BYTES 2048
#define HAK_SUPERSLAB_SLABS 32 /* of the largest, 2 MiB */

struct hak_slab {
    void *linked;                 /* blocks that others freed, linked through their first word */
    uintptr_t remote;             /* any thread, by CAS: blocks freed by others; bit 0 says that
                                   * the slab waits in its owner's remote queue */
    struct hak_slab *next, *prev; /* in the owner's list of its class, partial or full */
    struct hak_slab *queue_next;  /* in a remote queue */
    uint16_t used;                /* blocks in a front, with the program or on `remote` */
    uint16_t linked_count;        /* blocks on `linked` */
    uint16_t home;                /* blocks that came home otherwise: slab/home */
    uint16_t home_from;           /* no bit is set in words of them below this one */
    uint16_t carved;              /* blocks cut from the start of the slab so far */
    uint16_t capacity;            /* blocks that fit */
    uint8_t class;
    uint8_t index; /* in its SuperSlab */
    uint8_t full : 1;    /* in the owner's full list */
    uint8_t visited : 1; /* blocks came home in the drain that is going on */
    uint8_t warm;  /* pages of the unit, from its start, that have been cut before; none after
                    * a purge, which clears `carved` too */
};

struct hak_superslab {
    uint64_t magic;
    uint32_t unit;         /* first one */
    uint32_t slots;        /* units it has */
    uint32_t claimed;      /* any thread, by CAS: slots taken from UNUSED, in order */
    uint32_t use;          /* any thread, by CAS: slots that are not UNUSED, or its flags */
    uint64_t classes_seen; /* any thread, by atomic or: classes it is registered for */
    uint64_t *home;        /* bits of its slabs: slab/home */
    uint64_t reserved[27];
    struct hak_slab slab[HAK_SUPERSLAB_SLABS];
};

_Static_assert(sizeof(struct hak_superslab) <= HAK_SUPERSLAB_HEADER_BYTES, "header grew");

#define HAK_SUPERSLAB_MAGIC 0x48414b4d454d5353u

/* ---- slot states --------------------------------------------------------- */

enum hak_slot_state {
    HAK_SLOT_UNUSED,    /* never held a class, or unit of no SuperSlab */
    HAK_SLOT_ACTIVE,    /* has an owner */
    HAK_SLOT_EMPTY,     /* in the shared pool, without used blocks */
    HAK_SLOT_PUBLISHED, /* its owner has left it with used blocks */
};

#define HAK_SLOT_STATE_MASK 7u
#define HAK_SLOT_LISTED 8u   /* linked in a list of its class; a list entry is only a hint */
#define HAK_SLOT_KNOCKED 16u /* blocks came home while nobody owned it */
#define HAK_SLOT_WARM 32u    /* EMPTY: most of its pages have been cut */
#define HAK_SLOT_CLASS_SHIFT 8
#define HAK_SLOT_INDEX_SHIFT 16

HAK_INLINE uint32_t hak_slot_word(enum hak_slot_state state, unsigned class, unsigned index)
{
    return (uint32_t)state | class << HAK_SLOT_CLASS_SHIFT | index << HAK_SLOT_INDEX_SHIFT;
}

HAK_INLINE enum hak_slot_state hak_slot_state(uint32_t word)
{
    return (enum hak_slot_state)(word & HAK_SLOT_STATE_MASK);
}

HAK_INLINE unsigned hak_slot_class(uint32_t word) { return word >> HAK_SLOT_CLASS_SHIFT & 0xff; }
HAK_INLINE unsigned hak_slot_index(uint32_t word) { return word >> HAK_SLOT_INDEX_SHIFT & 0xff; }

/* ---- addresses ----------------------------------------------------------- */

HAK_INLINE struct hak_superslab *hak_superslab_at(size_t unit)
{
    return (struct hak_superslab *)hak_unit_address(unit);
}

/* The slab of a unit that some block, owner or list keeps alive. */
HAK_INLINE struct hak_slab *hak_slab_of_unit(size_t unit)
{
    unsigned index = hak_slot_index(hak_load_relaxed(&hak_zone.state[unit]));
    return &hak_superslab_at(unit - index)->slab[index];
}

HAK_INLINE struct hak_superslab *hak_superslab_of(const struct hak_slab *slab)
{
    return (struct hak_superslab *)((uintptr_t)slab & ~(HAK_UNIT_BYTES - 1));
}

HAK_INLINE size_t hak_slab_unit(const struct hak_slab *slab)
{
    return hak_superslab_of(slab)->unit + slab->index;
}

HAK_INLINE char *hak_slab_blocks(const struct hak_slab *slab)
{
    const struct hak_superslab *superslab = hak_superslab_of(slab);
    size_t header_bytes = slab->index == 0 ? HAK_SUPERSLAB_HEADER_BYTES : 0;
    return hak_unit_address(superslab->unit + slab->index) + header_bytes;
}

/* ---- what one can do with them ------------------------------------------- */

/* Maps a SuperSlab of 2^lg bytes, all slots UNUSED; NULL with errno as hak_zone_take(). */
struct hak_superslab *hak_superslab_map(unsigned lg);
/* All its slots are UNUSED or claimed by the caller, and it is in no list. */
void hak_superslab_unmap(struct hak_superslab *superslab);

/* A slot leaves UNUSED, or is UNUSED again with its pages given back. A SuperSlab of which
 * the last slot goes has returned to the OS, but for the page of its header, which late
 * remote frees may still look at; the first slot to come brings it back. 0: it was
 * withdrawn, and the OS refuses the memory. */
int hak_superslab_enter(struct hak_superslab *superslab);
void hak_superslab_leave(struct hak_superslab *superslab);
/* Gives the address space of one that has returned to the OS back too; returns the bytes.
 * It keeps its place in the zone. */
size_t hak_superslab_withdraw(struct hak_superslab *superslab);

void hak_superslab_fork_prepare(void);
void hak_superslab_fork_done(int in_child);

/* Pages of the slab's unit, from its start, that have been cut since its last purge. */
unsigned hak_slab_warm_pages(const struct hak_slab *slab);
/* Its blocks are no more, and whatever size is next may be cut. */
void hak_slab_uncut(struct hak_slab *slab);

/* Makes a claimed slot the caller's slab of this class, without blocks carved. */
struct hak_slab *hak_slab_open(size_t unit, unsigned index, unsigned class, uint32_t owner);
/* The owner is a tag, HAK_TAG_NOBODY while the slab is published or EMPTY. */
void hak_slab_set_owner(struct hak_slab *slab, uint32_t owner);
HAK_INLINE uint32_t hak_slab_owner(const struct hak_slab *slab)
{
    return hak_load_relaxed(&hak_zone.map[hak_slab_unit(slab)]) >> HAK_TAG_SHIFT;
}

/* Takes up to `want` blocks: those that are home, or those that others have linked, or by cutting
 * fresh ones, up to the end of a page unless it is warm, so that memory is touched as it is
 * needed. Prepends them to *list and returns their number; into an empty *list it moves up to
 * twice as many linked ones whole, without a look: each lies in another processor's cache, one
 * behind the other. A link that does not lead to a block ends the list there. Owner only. */
unsigned hak_slab_take(struct hak_slab *slab, unsigned want, void **list);

/* Is `block` a block of this slab? (Owner; used where links are followed.) */
HAK_INLINE int hak_slab_holds(const struct hak_slab *slab, const void *block)
{
    uintptr_t offset = (uintptr_t)block - (uintptr_t)hak_slab_blocks(slab);
    return offset < (size_t)slab->carved * hak_classes.size[slab->class] &&
           hak_class_divides(slab->class, (uint32_t)offset);
}

/* Where a slab's blocks lie: what hak_slab_holds() looks up, for many looks at one slab. */
struct hak_slab_shape {
    uintptr_t blocks;
    size_t bytes; /* from there on that are cut */
    uint32_t size, inverse;
};

HAK_INLINE struct hak_slab_shape hak_slab_shape(const struct hak_slab *slab)
{
    uint32_t size = hak_classes.size[slab->class];
    return (struct hak_slab_shape){(uintptr_t)hak_slab_blocks(slab), (size_t)slab->carved * size,
                                   size, hak_classes.inverse[slab->class]};
}

/* Does the address lie among the blocks? */
HAK_INLINE int hak_shape_spans(const struct hak_slab_shape *shape, const void *address)
{
    return (uintptr_t)address - shape->blocks < shape->bytes;
}

/* And does a block begin there? *index is its number. */
HAK_INLINE int hak_shape_index(const struct hak_slab_shape *shape, const void *block,
                               uint32_t *index)
{
    uint32_t offset = (uint32_t)((uintptr_t)block - shape->blocks);
    *index = (uint32_t)(((uint64_t)offset * shape->inverse) >> 32);
    return *index * shape->size == offset;
}

HAK_INLINE int hak_slab_has_room(const struct hak_slab *slab)
{
    return (slab->home | slab->linked_count) != 0 || slab->carved < slab->capacity;
}

/* Counts and reports a broken invariant. */
void hak_integrity(unsigned kind, const void *address, uint64_t got, uint64_t expected);

#endif
