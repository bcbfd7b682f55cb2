/* The arena of nested calls: see nested.h. */
#include "front/nested.h"

#include "os/os.h"

/* Chunks are powers of two. A handler's blocks are few and short-lived: what does not fit into
 * this is refused. */
#define ARENA_BYTES ((size_t)64 * HAK_MIB)
#define LEAST_ARENA_BYTES (64 * HAK_KIB) /* under a limit of address space */
#define LEAST_LG 5
#define LGS 27 /* chunks below 2^LGS */

/* Before every block. A chunk is never unmapped, so a word of it may be read when the chunk is
 * another's by now. */
struct header {
    uint32_t from; /* bytes from the start of the chunk to the block */
    uint32_t lg;   /* of the chunk; in the header at its start */
    uint32_t next; /* of the chunk, while it is free: see below */
    uint32_t unused;
};

_Static_assert(sizeof(struct header) == 16, "blocks are aligned to 16");

/* Where the arena lies and, below a page, the lg of its bytes: both at once, or 0 for none. */
static uintptr_t arena;
static uint64_t carved; /* its bytes that have been cut into chunks */

/* Chunks are named by their offset / 16 + 1, 0 is none. A list's head carries a count of its
 * changes, so that one which went and came back is told from one that stayed. */
static uint64_t heads[LGS];

static char *arena_start(void)
{
    return (char *)(hak_load_acquire(&arena) & ~(uintptr_t)(HAK_PAGE_BYTES - 1));
}

static size_t arena_bytes(void)
{
    uintptr_t lg = hak_load_acquire(&arena) & (HAK_PAGE_BYTES - 1);
    return lg != 0 ? (size_t)1 << lg : 0;
}

static struct header *chunk_of_name(uint32_t name)
{
    return (struct header *)(arena_start() + ((size_t)(name - 1) << 4));
}

/* 1: there is an arena, this call's or another thread's that came first. */
static int map_arena(void)
{
    for (size_t bytes = ARENA_BYTES; bytes >= LEAST_ARENA_BYTES; bytes /= 4) {
        void *mapped = hak_os.map(NULL, bytes);
        uintptr_t none = 0;
        if (mapped == NULL)
            continue;
        if (!hak_cas_acq_rel(&arena, &none, (uintptr_t)mapped | hak_lg(bytes)))
            hak_os.unmap(mapped, bytes);
        return 1;
    }
    return 0;
}

static struct header *take_kept(unsigned lg)
{
    uint64_t head = hak_load_acquire(&heads[lg]);
    while ((uint32_t)head != 0) {
        struct header *chunk = chunk_of_name((uint32_t)head);
        uint64_t next = (head >> 32) + 1;
        next = next << 32 | hak_load_relaxed(&chunk->next);
        if (hak_cas_acq_rel(&heads[lg], &head, next))
            return chunk;
    }
    return NULL;
}

static void keep(struct header *chunk, unsigned lg)
{
    uint32_t name = (uint32_t)(((char *)chunk - arena_start()) >> 4) + 1;
    uint64_t head = hak_load_relaxed(&heads[lg]), with;
    do {
        hak_store_relaxed(&chunk->next, (uint32_t)head);
        with = ((head >> 32) + 1) << 32 | name;
    } while (!hak_cas_acq_rel(&heads[lg], &head, with));
}

static struct header *carve(unsigned lg)
{
    uint64_t at = hak_load_relaxed(&carved), end;
    do {
        end = at + ((uint64_t)1 << lg);
        if (end > arena_bytes())
            return NULL;
    } while (!hak_cas_acq_rel(&carved, &at, end));
    return (struct header *)(arena_start() + at);
}

void *hak_nested_alloc(size_t bytes, size_t align)
{
    size_t room = sizeof(struct header) + (align > 16 ? align : 0);
    if (align > ARENA_BYTES || bytes > ARENA_BYTES - room)
        return NULL;
    if (hak_load_acquire(&arena) == 0 && !map_arena())
        return NULL;
    unsigned lg = hak_lg(hak_max(bytes + room, (size_t)1 << LEAST_LG) * 2 - 1);
    if (lg >= LGS)
        return NULL;
    struct header *chunk = take_kept(lg);
    if (chunk == NULL && (chunk = carve(lg)) == NULL)
        return NULL;
    uintptr_t block = hak_align_up((uintptr_t)(chunk + 1), hak_max(align, 16));
    struct header *header = (struct header *)block - 1;
    chunk->lg = lg;
    header->from = (uint32_t)(block - (uintptr_t)chunk);
    hak_gauge_add(nested_allocs, 1);
    return (void *)block;
}

static struct header *chunk_of(const void *block)
{
    return (struct header *)((char *)block - ((const struct header *)block - 1)->from);
}

size_t hak_nested_usable(const void *block)
{
    if (hak_likely(hak_load_relaxed(&arena) == 0) ||
        (uintptr_t)block - (uintptr_t)arena_start() >= arena_bytes())
        return 0;
    const struct header *chunk = chunk_of(block);
    return ((size_t)1 << chunk->lg) - (size_t)((const char *)block - (const char *)chunk);
}

void hak_nested_free(void *block)
{
    struct header *chunk = chunk_of(block);
    keep(chunk, chunk->lg);
}

/* ---- what waits ----------------------------------------------------------------------------- */

/* A handler may be interrupted by another one: single steps here too. */
void hak_nested_free_later(struct hak_front *front, void *block)
{
    void *first = hak_load_relaxed(&front->waiting);
    do
        *(void **)block = first;
    while (!hak_cas_acq_rel(&front->waiting, &first, block));
}

HAK_NOINLINE void hak_nested_free_waiting(struct hak_front *front)
{
    void *block = hak_exchange_acq_rel(&front->waiting, NULL);
    while (block != NULL) {
        void *next = *(void **)block;
        hak_free_slow(block);
        block = next;
    }
}

/* Blocks that a handler pushes are counted as it does so, and stand before the list's. */
static void *chain(void *first, void *list)
{
    void *last = first;
    while (*(void **)last != NULL)
        last = *(void **)last;
    *(void **)last = list;
    return first;
}

void hak_nested_set_list(struct hak_front *front, unsigned class, void *list)
{
    for (;;) {
        void *pushed = NULL;
        if (hak_likely(hak_cas_acq_rel(&front->head[class], &pushed, list)))
            return;
        list = chain(hak_exchange_acq_rel(&front->head[class], NULL), list);
    }
}
