/* What is written down about a slow path: see note.h. */
#include "front/note.h"

#include "core/codes.h"

uint64_t hak_note_refilled(unsigned class)
{
    const struct hak_block *block = hak_front.block;
    return block != NULL ? hak_load_relaxed(&block->class[class][HAK_CLASS_refilled]) : 0;
}

/* A refill stands for the requests that it will serve. */
HAK_NOINLINE void hak_note_request(const struct hak_note *note, const void *block,
                                   const struct hak_call *call, unsigned class)
{
    uint64_t brought = hak_note_refilled(class) - note->refilled;
    uint64_t requests = brought != 0 ? brought : 1;
    int is_big = call->path == HAK_PATH_MAP || call->path == HAK_PATH_BIGCACHE;
    if (hak_deal_counts_sizes)
        hak_deal_count_mid(call->bytes, requests);
    if (hak_sites_on)
        hak_sites_note_slow(block, call->site, call->bytes, requests, is_big);
}
