/*
 * heaps.h - two heaps that one thread plays, for the tests of tiny: blocks out of them by refills,
 * and back by drains or as another thread's frees.
 */
#ifndef HAK_TESTS_HEAPS_H
#define HAK_TESTS_HEAPS_H

#include "core/codes.h"
#include "slabs.h"
#include "tiny/tiny.h"

static struct hak_heap alice, bob;
static struct hak_block alice_counts, bob_counts;

static void start(struct hak_heap *heap, uint32_t tag, struct hak_block *counts) {
    uint32_t is_known = heap->is_known;
    memset(heap, 0, sizeof *heap);
    heap->is_known = is_known;
    memset(counts, 0, sizeof *counts);
    hak_tiny_start(heap, tag, counts);
}

/* Both heaps new; the knobs of the tests at their defaults. */
static void set_up(void) {
    hak_tiny_end(&alice);
    hak_tiny_end(&bob);
    start(&alice, ALICE, &alice_counts);
    start(&bob, BOB, &bob_counts);
}

__attribute__((unused)) static unsigned length_of(void *list) {
    unsigned n = 0;
    for (; list != NULL; list = *(void **)list)
        n++;
    return n;
}

/* `count` blocks out of a heap, by as many refills as it takes. */
static unsigned take(struct hak_heap *heap, unsigned class, unsigned count, void **blocks) {
    void *list = NULL;
    unsigned got = 0;
    while (got < count) {
        if (list == NULL && hak_tiny_refill(heap, class, &list) == 0)
            break;
        blocks[got++] = list;
        list = *(void **)list;
    }
    if (list != NULL)
        hak_tiny_drain(heap, class, list, ~0u);
    return got;
}

static void drain(struct hak_heap *heap, unsigned class, void **blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        *(void **)blocks[i] = i + 1 < count ? blocks[i + 1] : NULL;
    if (count != 0)
        hak_tiny_drain(heap, class, blocks[0], count);
}

__attribute__((unused)) static void free_remote(struct hak_heap *heap, unsigned class,
                                                void **blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        hak_tiny_free_remote(heap, hak_unit_of(blocks[i]), class, blocks[i]);
}

static uint64_t alice_count(unsigned class, int word) {
    return alice_counts.class[class][word];
}

#endif
