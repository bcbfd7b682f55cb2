/*
 * shared_pool.h - where threads get slabs from and give EMPTY ones back to.
 *
 * acquire() tries four stages in order, each one function, each counted per class and
 * with a probe; release() takes a slab without used blocks. publish() and adopt() are
 * the mailbox for slabs that still have used blocks. Lists of slots are lock-free, and
 * their entries are hints: who pops one claims the slot by CAS, or lets it go. Any
 * thread. It does not touch blocks, and serves nothing itself when all stages fail.
 */
#ifndef HAK_SHARED_POOL_H
#define HAK_SHARED_POOL_H

#include "core/policy.h"
#include "slab/superslab.h"

/* What became of an acquire(): the stage that served, or why none did. */
struct hak_pool_outcome {
    uint32_t stage;  /* STAGE code */
    uint32_t reason; /* FAIL code; 0 after a success */
    uint32_t active, cap;
};

/* A slab of `class` for `owner`, or NULL; *outcome tells how or why. Without `may_be_new`, EMPTY
 * slabs serve, or none does, which is no failure. Counts go to `block`. */
struct hak_slab *hak_pool_acquire(unsigned class, uint32_t owner, int may_be_new,
                                  struct hak_block *block, struct hak_pool_outcome *outcome);

/* Takes an EMPTY slab of the caller's (used == 0, not queued for remote frees). */
void hak_pool_release(struct hak_slab *slab, struct hak_block *block);

/* Lends the unit of an EMPTY slab to those who cut other blocks from it and can do without its
 * first *reserved bytes, at most `spare`; HAK_NO_UNIT, and *reserved as it was: there is none. It
 * stays its SuperSlab's, and is the borrower's alone until it is taken back, with so many bytes
 * touched from its start; its word in the table of states is not the borrower's to write. */
size_t hak_pool_lend(size_t spare, size_t *reserved);
void hak_pool_take_back(size_t unit, size_t bytes);
/* The same for the caller's slab with its used blocks, whose unit the borrower has already. */
void hak_pool_part_with(const struct hak_slab *slab);

/* Leaves a slab with used blocks to whoever wants it. Of the caller's, in none of his
 * lists. Without adoption it is only found again when all its blocks have come home. */
void hak_pool_publish(struct hak_slab *slab, struct hak_block *block);

/* A published slab with room, now `owner`'s; NULL when there is none. */
struct hak_slab *hak_pool_adopt(unsigned class, uint32_t owner, struct hak_block *block);

/* Gives the pages of EMPTY slabs that nobody has asked for since the last call back to the
 * OS; the slots become UNUSED. Returns the bytes. One caller at a time. */
size_t hak_pool_purge(void);

/* The ACE tick: decides the size of each class's next SuperSlab by its use. */
void hak_pool_size_superslabs(void);

/* Gives the address space of SuperSlabs without used blocks back; returns the bytes. */
size_t hak_pool_reclaim(void);

uint32_t hak_pool_active(unsigned class); /* slots that hold the class and are not EMPTY */

void hak_pool_fork_prepare(void);
void hak_pool_fork_done(int in_child);

#endif
