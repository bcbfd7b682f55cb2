/*
 * ace.h - Mid and Large (L1): above Tiny, below the mmap threshold.
 *
 * Two pools behind one entry. Up to HAK_DIRECT_ABOVE_BYTES, blocks are cut from runs of
 * units and kept in shards, each with a lock, in front of which the thread's front keeps
 * a few (ace_pool). Above, each block is a span of its own (ace_direct): what one class
 * frees, another takes. Blocks have no owner; any thread may free any of them.
 *
 * Soft cap: a class that holds more blocks than its cap gets them singly, looks for room in
 * larger classes before it maps, and maps as little as can be.
 */
#ifndef HAK_ACE_H
#define HAK_ACE_H

#include "core/counters.h"
#include "slab/sizeclass.h"

/* Blocks above this are not kept in fronts: their memory is worth more than a lock. */
#define HAK_DIRECT_ABOVE_BYTES ((size_t)256 * HAK_KIB)

HAK_INLINE int hak_ace_is_direct(unsigned class)
{
    return hak_classes.size[class] > HAK_DIRECT_ABOVE_BYTES;
}

struct hak_ace_request {
    unsigned class; /* the smallest that holds it */
    size_t bytes;   /* that the block must have */
    size_t align;   /* likewise; the class has it, a larger one may not */
    unsigned seat;  /* any number that differs between threads */
    unsigned want;  /* blocks, if they come in one go */
    int keeps;      /* the thread has lists of its own */
    struct hak_block *counts;
};

struct hak_ace_answer {
    void *block;    /* NULL: the OS refused; errno is ENOMEM */
    unsigned class; /* of the block: the request's, or a larger one */
    void *rest;     /* further blocks of the request's class, linked */
    unsigned rest_count;
    uint32_t path; /* PATH code */
    int zeroed;    /* the block is all zero */
};

/* Serves a request, or tells by 0 that no class may: then it is Big's. Every failure is
 * counted and told with its cause. */
int hkm_ace_alloc(const struct hak_ace_request *request, struct hak_ace_answer *answer);

/* May a pooled block of this class serve so many bytes? */
int hak_ace_fits(unsigned class, size_t bytes);
void hak_ace_failed(const struct hak_ace_request *request, unsigned reason);

/* ace_pool: prepends blocks of the class to *list and returns their number; or none, but
 * one of a larger class in *larger; or neither, with errno ENOMEM. */
unsigned hak_ace_refill(const struct hak_ace_request *request, void **list, void **larger);
/* Takes the first `count` blocks of the list back and returns the rest of it. */
void *hak_ace_drain(unsigned class, struct hak_block *block, void *list, unsigned count);

/* ace_direct: a block in a span of its own, of any class above Tiny; NULL with errno ENOMEM.
 * `keeps`: the calling thread may keep a few of those that it frees for its own next calls. */
void *hak_ace_direct_alloc(unsigned class, int keeps, int *zeroed);
void hak_ace_direct_free(size_t unit, unsigned class, int keeps);
size_t hak_ace_direct_give_kept(void); /* the calling thread's, all; returns their bytes */
/* Makes a direct block one of another direct class where it lies; 0: it can not grow there. */
int hak_ace_direct_resize(size_t unit, unsigned class, unsigned new_class);

void hak_ace_fork_prepare(void);
void hak_ace_fork_done(int in_child);

#endif
