#include "slab/sizeclass.h"

struct hak_classes hak_classes;

static void add(struct hak_classes *classes, size_t size)
{
    classes->inverse[classes->count] = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
    classes->size[classes->count++] = (uint32_t)size;
}

/* Four classes to a doubling of (from, to]; multiples of 16 from 64 bytes on. */
static void add_fine(struct hak_classes *classes, size_t from, size_t to)
{
    for (size_t base = from; base < to; base *= 2)
        for (size_t quarter = 1; quarter <= 4; quarter++)
            add(classes, base + base / 4 * quarter);
}

static void add_pow2(struct hak_classes *classes, size_t from, size_t to)
{
    for (size_t size = from * 2; size <= to; size *= 2)
        add(classes, size);
}

static void add_tiny(struct hak_classes *classes, enum hak_geometry geometry)
{
    if (geometry == HAK_GEOMETRY_POW2) {
        add_pow2(classes, 4, 512);
        add(classes, HAK_TINY_MAX_BYTES);
        return;
    }
    add(classes, 8);
    add(classes, 16);
    add(classes, 32);
    add(classes, 48);
    add(classes, 64);
    add_fine(classes, 64, HAK_TINY_MAX_BYTES);
}

/* Fills table[i] with the smallest class that holds i * step bytes. */
static void fill(const struct hak_classes *classes, uint8_t *table, size_t entries, size_t step,
                 size_t threshold)
{
    unsigned c = 0;
    for (size_t i = 0; i < entries; i++) {
        while (c < classes->regular_count && classes->size[c] < i * step)
            c++;
        table[i] = (uint8_t)(c < classes->regular_count && i * step < threshold ? c : HAK_CLASS_NONE);
    }
}

void hak_classes_build(struct hak_classes *classes, enum hak_geometry geometry, size_t threshold)
{
    void (*add_range)(struct hak_classes *, size_t, size_t) =
        geometry == HAK_GEOMETRY_FINE ? add_fine : add_pow2;
    classes->count = 0;
    add_tiny(classes, geometry);
    classes->tiny_count = classes->count;
    add_range(classes, 2 * HAK_KIB, 32 * HAK_KIB);
    classes->mid_count = classes->count;
    add_range(classes, 32 * HAK_KIB, HAK_LARGE_MAX_BYTES);
    classes->regular_count = classes->count;
    add_pow2(classes, 2 * HAK_KIB, 32 * HAK_KIB); /* at multiples of their size */
    fill(classes, classes->small, sizeof classes->small, 8, threshold);
    fill(classes, classes->by_kib, sizeof classes->by_kib, 1024, threshold);
}

/* Byte by byte, while others read: an entry is the old class or the new, and both serve. */
void hak_classes_set_threshold(struct hak_classes *classes, size_t threshold)
{
    fill(classes, classes->by_kib, sizeof classes->by_kib, 1024, threshold);
}
