/*
 * slabs.h - slabs without a thread behind them: owners that are only a tag, so that one thread
 * can play several and say what happens when. For the tests of the slab rooms.
 */
#ifndef HAK_TESTS_SLABS_H
#define HAK_TESTS_SLABS_H

#include "hak.h"
#include "slab/home.h"
#include "slab/remote.h"
#include "slab/shared_pool.h"

/* Tags that no thread of a test program gets: they are handed out from 1 on. */
enum { ALICE = 8001, BOB = 8002, CAROL = 8003 };

/* Takes `count` blocks out of the slab, as a refill would. */
__attribute__((unused)) static unsigned take_blocks(struct hak_slab *slab, unsigned count,
                                                    void **blocks) {
    void *end[1] = {NULL}, *list = end; /* into a list that is not empty, none too many come */
    unsigned got = 0;
    while (got < count) {
        if (hak_slab_take(slab, count - got, &list) == 0)
            break;
        for (; list != end; list = *(void **)list)
            blocks[got++] = list;
    }
    return got;
}

/* The owner takes one of its blocks back, as a drain would. */
__attribute__((unused)) static void put_block(struct hak_slab *slab, void *block) {
    CHECK(hak_home_put(slab, slab->class, block));
}

/* Somebody else frees blocks of one slab as one chain. */
__attribute__((unused)) static void push_blocks(struct hak_slab *slab, void **blocks,
                                                unsigned count) {
    for (unsigned i = 0; i + 1 < count; i++)
        *(void **)blocks[i] = blocks[i + 1];
    hak_remote_push(hak_slab_unit(slab), blocks[0], blocks[count - 1], count);
}

__attribute__((unused)) static uint32_t state_of(struct hak_slab *slab) {
    return hak_load_acquire(&hak_zone.state[hak_slab_unit(slab)]);
}

/* A slab of a SuperSlab that the pool does not know. */
__attribute__((unused)) static struct hak_slab *private_slab(unsigned class, uint32_t owner) {
    struct hak_superslab *superslab = hak_superslab_map(19);
    hak_zone.state[superslab->unit + 1] = hak_slot_word(HAK_SLOT_ACTIVE, class, 1);
    return hak_slab_open(superslab->unit + 1, 1, class, owner);
}

#endif
