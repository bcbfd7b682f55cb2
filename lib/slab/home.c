#include "slab/home.h"

#include "core/codes.h"
#include "os/os.h"

#define BITS 64u

/* Blocks from 64 bytes on need two lines at most; those of all slabs of a SuperSlab share a page.
 * Smaller ones have a place of their own behind that, large enough for 8-byte blocks. */
#define FEW_BYTES 128
#define MANY_BYTES 1024

static uint32_t words_of(unsigned capacity)
{
    return (capacity + BITS - 1) / BITS;
}

static uint64_t *bits_of(const struct hak_slab *slab)
{
    const struct hak_superslab *superslab = hak_superslab_of(slab);
    char *few = superslab->home, *many = few + superslab->slots * FEW_BYTES;
    int is_few = slab->capacity <= FEW_BYTES * 8;
    return (uint64_t *)(is_few ? few + slab->index * FEW_BYTES : many + slab->index * MANY_BYTES);
}

void hak_home_clear(struct hak_slab *slab)
{
    if (slab->home != 0)
        __builtin_memset(bits_of(slab), 0, words_of(slab->capacity) * sizeof(uint64_t));
    slab->home = slab->home_from = 0;
}

/* ---- memory for bits ---------------------------------------------------------------- */

/* For seven large SuperSlabs; pages are touched as slabs come into use. */
#define CHUNK_BYTES (256 * HAK_KIB)
#define KEPT_LGS 6 /* of slots, up to HAK_SUPERSLAB_SLABS */

static struct {
    char *next;
    size_t left;
    void *kept[KEPT_LGS]; /* by lg of slots, linked through the first word */
} room;

char *hak_home_map(size_t slots)
{
    size_t bytes = slots * (FEW_BYTES + MANY_BYTES);
    void **kept = &room.kept[hak_lg(slots)];
    if (*kept != NULL) {
        char *home = *kept;
        *kept = *(void **)home;
        return __builtin_memset(home, 0, bytes);
    }
    if (room.left < bytes) {
        room.next = hak_os.map(NULL, CHUNK_BYTES);
        room.left = room.next != NULL ? CHUNK_BYTES : 0;
    }
    if (room.next == NULL)
        return NULL;
    char *home = room.next;
    room.next += bytes;
    room.left -= bytes;
    return home;
}

void hak_home_unmap(char *home, size_t slots)
{
    void **kept = &room.kept[hak_lg(slots)];
    *(void **)home = *kept;
    *kept = home;
}

/* ---- free blocks --------------------------------------------------------------------- */

/* What ends the list, being in the slab: nothing behind it can be trusted. */
static HAK_COLD void give_up(const struct hak_slab *slab, const void *block, unsigned count,
                             int once)
{
    unsigned kind = once && count != slab->used ? HAK_INTEGRITY_FREE_LINK : HAK_INTEGRITY_COUNT;
    hak_integrity(kind, block, count, slab->used);
}

unsigned hak_home_put(struct hak_slab *slab, size_t unit, unsigned most, void **list)
{
    const struct hak_slab_shape shape = hak_slab_shape(slab);
    uint64_t *bits = bits_of(slab), word = 0, bit = 0, nowhere, *at = &nowhere;
    uint32_t from = slab->home_from, index;
    unsigned limit = (unsigned)hak_min(most, slab->used), count = 0;
    void *block = *list;
    for (; count < limit && hak_shape_spans(&shape, block); count++) {
        void *next = *(void **)block;
        if (hak_unlikely(!hak_shape_index(&shape, block, &index)))
            break;
        if (&bits[index / BITS] != at) {
            *at = word;
            at = &bits[index / BITS];
            word = *at;
            from = (uint32_t)hak_min(from, index / BITS);
        }
        bit = (uint64_t)1 << index % BITS;
        if (hak_unlikely(word & bit))
            break;
        word |= bit;
        bit = 0;
        block = next;
    }
    *at = word;
    if (count < most && block != NULL && hak_unlikely(hak_unit_of(block) == unit)) {
        give_up(slab, block, count, bit == 0);
        block = NULL;
    }
    *list = block;
    slab->home_from = (uint16_t)from;
    slab->home = (uint16_t)(slab->home + count);
    slab->used = (uint16_t)(slab->used - count);
    return count;
}

unsigned hak_home_take(struct hak_slab *slab, unsigned want, void **list)
{
    const size_t size = hak_classes.size[slab->class];
    const unsigned count = (unsigned)hak_min(want, slab->home);
    uint64_t *bits = bits_of(slab);
    char *blocks = hak_slab_blocks(slab);
    uint32_t at = slab->home_from, end = words_of(slab->capacity);
    void *first = NULL, **link = &first;
    unsigned left = count;
    for (; left != 0 && at < end; at++) {
        uint64_t word = bits[at];
        char *base = blocks + (size_t)at * BITS * size;
        for (; word != 0 && left != 0; word &= word - 1, left--) {
            *link = base + (size_t)__builtin_ctzll(word) * size;
            link = *link;
        }
        bits[at] = word;
        if (word != 0)
            break;
    }
    *link = *list;
    *list = first;
    slab->home_from = (uint16_t)at;
    slab->home = (uint16_t)(slab->home - count);
    return count - left;
}
