/* What is written down about a slow path: see note.h. */
#include "front/note.h"

#include "core/codes.h"

uint64_t hak_note_refilled(unsigned class)
{
    const struct hak_block *block = hak_front.block;
    return block != NULL ? hak_load_relaxed(&block->class[class][HAK_CLASS_refilled]) : 0;
}

/* A refill stands for the requests that it will serve. */
static uint64_t requests_of(uint64_t refilled, unsigned class)
{
    uint64_t brought = hak_note_refilled(class) - refilled;
    return brought != 0 ? brought : 1;
}

HAK_NOINLINE void hak_note_site(const void *block, const struct hak_call *call, unsigned class,
                                uint64_t refilled)
{
    int is_big = call->path == HAK_PATH_MAP || call->path == HAK_PATH_BIGCACHE;
    hak_sites_note_slow(block, call->site, call->bytes, requests_of(refilled, class), is_big);
}

HAK_COLD void hak_note_size(size_t bytes, unsigned class, uint64_t refilled)
{
    hak_deal_count_mid(bytes, requests_of(refilled, class));
}
