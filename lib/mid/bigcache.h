/*
 * bigcache.h - freed big blocks that are kept as they are: no madvise, no page fault.
 *
 * Blocks are kept per size class and call site, up to a hard cap of bytes; what the cap
 * pushes out is the least recently freed. Owner: mid/big, under its lock; nobody else
 * calls. It does not call the OS: what it evicts it hands to its caller.
 */
#ifndef HAK_BIGCACHE_H
#define HAK_BIGCACHE_H

#include "base/base.h"

/* Classes of big blocks: eight to a doubling, so that a block fits what its class asks. */
#define HAK_BIG_CLASSES 160

struct hak_big_range {
    void *address; /* NULL: none */
    size_t bytes;
    int is_part; /* cut from a longer one: it may be joined with a neighbour that is, too */
};

unsigned hak_big_class_of(size_t bytes);     /* page-rounded bytes */
size_t hak_big_class_bytes(size_t bytes);    /* what a block for `bytes` occupies */

/* A kept block of exactly `bytes`, of the same site if there is one. */
struct hak_big_range hak_bigcache_get(size_t bytes, uintptr_t site);

/* One of another size, of the youngest: the smallest above `bytes`, else the largest that is
 * at least half as long. */
struct hak_big_range hak_bigcache_take_near(size_t bytes);

/* One that begins at `address` and is at least so long. */
struct hak_big_range hak_bigcache_take_at(const void *address, size_t least_bytes);

/* Keeps the block, unless the policy or the cap is against it. 1: kept. */
int hak_bigcache_put(const struct hak_big_range *range, uintptr_t site, uint64_t now_ns);

/* Keeps what is left of one that was taken, whatever the policy. 1: kept. */
int hak_bigcache_put_rest(const struct hak_big_range *range, uintptr_t site, uint64_t now_ns);

/* While more than `most_bytes` are kept, or the oldest block was freed before
 * `not_before_ns`: the block to go; else an address of NULL. */
struct hak_big_range hak_bigcache_evict(size_t most_bytes, uint64_t not_before_ns, uint64_t now_ns);

size_t hak_bigcache_bytes(void);

#endif
