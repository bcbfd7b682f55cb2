#include "slab/sizeclass.h"

#include "base/atomic.h"

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

/* Requests that the extra class serves while it is on: those above the next smaller one. */
static int is_dynamic(const struct hak_classes *classes, size_t bytes, unsigned regular)
{
    size_t size = classes->size[classes->dynamic_mid];
    return classes->dynamic_is_on && bytes <= size && classes->size[regular] >= size;
}

static unsigned class_for(const struct hak_classes *classes, size_t bytes, unsigned regular)
{
    if (regular == classes->regular_count || bytes >= classes->threshold)
        return HAK_CLASS_NONE;
    return is_dynamic(classes, bytes, regular) ? classes->dynamic_mid : regular;
}

/* Fills table[i] with the smallest class that holds i * step bytes. */
static void fill(const struct hak_classes *classes, uint8_t *table, size_t entries, size_t step)
{
    size_t i = 0;
    for (unsigned c = 0; c <= classes->regular_count; c++) {
        size_t end = c < classes->regular_count ? classes->size[c] / step + 1 : entries;
        for (end = hak_min(end, entries); i < end; i++)
            hak_store_relaxed(&table[i], (uint8_t)class_for(classes, i * step, c));
    }
}

/* Byte by byte, while others read: an entry is the old class or the new, and both serve. */
static void fill_both(struct hak_classes *classes)
{
    fill(classes, classes->small, sizeof classes->small, 8);
    fill(classes, classes->by_kib, sizeof classes->by_kib, 1024);
}

static void fill_pages(struct hak_classes *classes)
{
    unsigned class = 0;
    for (size_t pages = 0; pages <= HAK_CLASS_PAGES; pages++) {
        while (classes->size[class] < pages * HAK_PAGE_BYTES)
            class++;
        classes->of_pages[pages] = (uint8_t)class;
    }
}

#define DYNAMIC_STEP ((size_t)1024)

void hak_classes_build(struct hak_classes *classes, enum hak_geometry geometry, size_t threshold)
{
    void (*add_range)(struct hak_classes *, size_t, size_t) =
        geometry == HAK_GEOMETRY_FINE ? add_fine : add_pow2;
    classes->count = 0;
    add_tiny(classes, geometry);
    classes->tiny_count = classes->count;
    add_range(classes, 2 * HAK_KIB, HAK_MID_MAX_BYTES);
    classes->mid_count = classes->count;
    add_range(classes, HAK_MID_MAX_BYTES, HAK_LARGE_MAX_BYTES);
    classes->regular_count = classes->count;
    add_pow2(classes, 2 * HAK_KIB, HAK_MID_MAX_BYTES); /* at multiples of their size */
    classes->dynamic_mid = classes->count;
    add(classes, 14 * HAK_KIB); /* until it is given a size */
    classes->dynamic_is_on = classes->dynamic_was_on = 0;
    classes->threshold = threshold;
    fill_both(classes);
    fill_pages(classes);
}

void hak_classes_set_threshold(struct hak_classes *classes, size_t threshold)
{
    classes->threshold = threshold;
    fill_both(classes);
}

int hak_classes_takes_dynamic(const struct hak_classes *classes, size_t bytes)
{
    size_t size = hak_align_up(bytes, DYNAMIC_STEP);
    if (size == 0)
        return 1;
    if (size <= HAK_TINY_MAX_BYTES || size > HAK_MID_MAX_BYTES)
        return 0; /* another size than before: there are blocks of the old one */
    return !classes->dynamic_was_on || size == classes->size[classes->dynamic_mid];
}

int hak_classes_set_dynamic(struct hak_classes *classes, size_t bytes)
{
    uint32_t size = (uint32_t)hak_align_up(bytes, DYNAMIC_STEP);
    unsigned class = classes->dynamic_mid;
    if (!hak_classes_takes_dynamic(classes, bytes))
        return 0;
    if (size != 0)
        hak_store_relaxed(&classes->size[class], size);
    classes->dynamic_is_on = size != 0;
    classes->dynamic_was_on |= size != 0;
    fill_both(classes);
    return 1;
}
