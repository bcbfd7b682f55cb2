#include "slab/home.h"

#include "core/codes.h"
#include "os/os.h"

#define BITS HAK_HOME_BITS

static uint32_t words_of(unsigned blocks)
{
    return (blocks + BITS - 1) / BITS;
}

static void clear_words(const struct hak_home *home, uint32_t count)
{
    uint32_t first = (uint32_t)hak_min(count, HAK_HOME_FIRST_WORDS);
    __builtin_memset(home->first, 0, first * sizeof(uint64_t));
    if (count > first)
        __builtin_memset(hak_home_word(home, first), 0, (count - first) * sizeof(uint64_t));
}

void hak_home_clear(struct hak_slab *slab)
{
    const struct hak_home home = hak_home_of(slab);
    if (slab->home != 0)
        clear_words(&home, words_of(slab->carved));
    slab->home = slab->home_from = 0;
}

/* ---- memory for bits ---------------------------------------------------------------- */

/* For seven large SuperSlabs; pages are touched as slabs come into use. */
#define CHUNK_BYTES (256 * HAK_KIB)
#define KEPT_LGS 6 /* of slots, up to HAK_SUPERSLAB_SLABS */

static struct {
    uint64_t *next;
    size_t left; /* bytes */
    void *kept[KEPT_LGS]; /* by lg of slots, linked through the first word */
} room;

uint64_t *hak_home_map(size_t slots)
{
    size_t words = slots * (HAK_HOME_FIRST_WORDS + HAK_HOME_REST_WORDS);
    size_t bytes = words * sizeof(uint64_t);
    void **kept = &room.kept[hak_lg(slots)];
    if (*kept != NULL) {
        uint64_t *home = *kept;
        *kept = *(void **)home;
        return __builtin_memset(home, 0, bytes);
    }
    if (room.left < bytes) {
        room.next = hak_os.map(NULL, CHUNK_BYTES);
        room.left = room.next != NULL ? CHUNK_BYTES : 0;
    }
    if (room.next == NULL)
        return NULL;
    uint64_t *home = room.next;
    room.next += words;
    room.left -= bytes;
    return home;
}

void hak_home_unmap(uint64_t *home, size_t slots)
{
    void **kept = &room.kept[hak_lg(slots)];
    *(void **)home = *kept;
    *kept = home;
}

/* ---- free blocks --------------------------------------------------------------------- */

unsigned hak_home_put_run(struct hak_slab *slab, unsigned most, void **list)
{
    const struct hak_slab_shape shape = hak_slab_shape(slab);
    const struct hak_home home = hak_home_of(slab);
    uint64_t *bits = home.first, word = *bits;
    uint32_t from = slab->home_from, at = 0, index;
    unsigned limit = (unsigned)hak_min(most, slab->used), left = limit;
    void *block = *list;
    for (; left != 0 && hak_shape_spans(&shape, block); left--) {
        void *next = *(void **)block;
        if (hak_unlikely(!hak_shape_index(&shape, block, &index)))
            break;
        if (index / BITS != at) {
            *bits = word;
            at = index / BITS;
            bits = hak_home_word(&home, at);
            word = *bits;
        }
        uint64_t bit = (uint64_t)1 << index % BITS;
        if (hak_unlikely(word & bit))
            break;
        word |= bit;
        from = at < from ? at : from;
        block = next;
    }
    unsigned count = limit - left;
    *bits = word;
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
    const struct hak_home home = hak_home_of(slab);
    char *blocks = hak_slab_blocks(slab);
    uint32_t at = slab->home_from, end = words_of(slab->capacity);
    void *first = NULL, **link = &first;
    unsigned left = count;
    for (; left != 0 && at < end; at++) {
        uint64_t *bits = hak_home_word(&home, at), word = *bits;
        char *base = blocks + (size_t)at * BITS * size;
        for (; word != 0 && left != 0; word &= word - 1, left--) {
            *link = base + (size_t)__builtin_ctzll(word) * size;
            link = *link;
        }
        *bits = word;
        if (word != 0)
            break;
    }
    *link = *list;
    *list = first;
    slab->home_from = (uint16_t)at;
    slab->home = (uint16_t)(slab->home - count);
    return count - left;
}
