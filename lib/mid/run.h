/*
 * run.h - one to eight units cut into blocks of one class, for Mid and the smaller Large. A
 * single unit may be one that Tiny has in memory and does not use.
 *
 * Owner: the shard that mapped it, whose lock guards every field. Which run a block lies
 * in is written down for each of its units. It does not know the shards' lists, nor what
 * the class is capped at.
 */
#ifndef HAK_RUN_H
#define HAK_RUN_H

#include "os/zone.h"
#include "slab/sizeclass.h"

struct hak_run {
    void *free;                  /* blocks that came back */
    struct hak_run *next, *prev; /* runs of the shard with blocks to give */
    uint32_t unit, units;
    uint32_t first; /* offset of the first block in bytes */
    uint32_t used, carved, capacity; /* blocks */
    uint8_t class, shard;
    uint8_t is_lent; /* its unit is a slot of Tiny's */
};

/* A run for the shard; `short_of_memory`: as small as can be. NULL with errno ENOMEM. */
struct hak_run *hak_run_map(unsigned class, unsigned shard, int short_of_memory);
/* No block of it is used, and no list holds it. */
void hak_run_unmap(struct hak_run *run);

/* The run of a block whose map word carries HAK_TAG_SHARED. */
struct hak_run *hak_run_of(const void *block);

/* Prepends up to `want` blocks that came back, else one fresh block. It has room. */
unsigned hak_run_take(struct hak_run *run, unsigned want, void **list);

HAK_INLINE int hak_run_has_room(const struct hak_run *run)
{
    return run->free != NULL || run->carved < run->capacity;
}

/* Is it one of the run's blocks, and can one of them be out? */
HAK_INLINE int hak_run_holds(const struct hak_run *run, const void *block)
{
    size_t offset = (size_t)((const char *)block - hak_unit_address(run->unit)) - run->first;
    return offset % hak_classes.size[run->class] == 0 && run->used != 0;
}

void hak_run_fork_prepare(void);
void hak_run_fork_done(int in_child);

#endif
