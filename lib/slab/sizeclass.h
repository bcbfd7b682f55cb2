/*
 * sizeclass.h - request size -> size class by table, and class -> stride.
 *
 * Pure after hak_classes_build(), which runs once at the start. Any thread reads. It
 * does not know who serves a class; `tiny_count` and `mid_count` only tell the tiers.
 */
#ifndef HAK_SIZECLASS_H
#define HAK_SIZECLASS_H

#include "base/base.h"
#include "core/counters.h"

#define HAK_TINY_MAX_BYTES ((size_t)2048)
#define HAK_SMALL_MAX_BYTES ((size_t)4096) /* by 8 bytes up to here, by 1 KiB above */
#define HAK_MID_MAX_BYTES (32 * HAK_KIB)
#define HAK_LARGE_MAX_BYTES (2 * HAK_MIB)
/* The class that serves nothing: its front list is always empty. */
#define HAK_CLASS_NONE (HAK_CLASS_CAPACITY - 1)

#define HAK_CLASS_PAGES 64 /* that hak_class_of_pages() knows */

enum hak_geometry { HAK_GEOMETRY_POW2, HAK_GEOMETRY_FINE };

struct hak_classes {
    uint8_t small[HAK_SMALL_MAX_BYTES / 8 + 1];
    uint8_t by_kib[HAK_LARGE_MAX_BYTES / 1024 + 1];
    uint8_t of_pages[HAK_CLASS_PAGES + 1]; /* whatever the threshold, and the extra class */
    uint32_t size[HAK_CLASS_CAPACITY];    /* stride in bytes */
    uint32_t inverse[HAK_CLASS_CAPACITY]; /* ceil(2^32 / size): exact for offsets in a slab */
    unsigned tiny_count, mid_count; /* classes below these indices are Tiny; Tiny or Mid */
    unsigned regular_count;         /* classes from here on serve only aligned requests */
    unsigned dynamic_mid;           /* the extra Mid class (HAKMEM_MID_DYN1) */
    unsigned dynamic_is_on, dynamic_was_on;
    unsigned count;
    size_t threshold; /* requests from this size up are Big */
};

extern struct hak_classes hak_classes;

/* Requests below `threshold` bytes are served by a class, from there on by Big. */
void hak_classes_build(struct hak_classes *classes, enum hak_geometry geometry, size_t threshold);

/* Switches the extra Mid class on with so many bytes, rounded up to 1 KiB, or off by 0. Once it
 * was on, its size stands. 0: refused. Others may read meanwhile; one writer at a time. */
int hak_classes_set_dynamic(struct hak_classes *classes, size_t bytes);

/* Would it be taken? */
int hak_classes_takes_dynamic(const struct hak_classes *classes, size_t bytes);

/* Moves the threshold of built classes, also while others read them. */
void hak_classes_set_threshold(struct hak_classes *classes, size_t threshold);

HAK_INLINE unsigned hak_class_of(size_t bytes)
{
    if (hak_likely(bytes <= HAK_SMALL_MAX_BYTES))
        return hak_peek(&hak_classes.small[(bytes + 7) >> 3]);
    if (bytes <= HAK_LARGE_MAX_BYTES)
        return hak_peek(&hak_classes.by_kib[(bytes + 1023) >> 10]);
    return HAK_CLASS_NONE;
}

/* The class that a block of 1 to HAK_CLASS_PAGES whole pages counts as: the same as long as it
 * lives. */
HAK_INLINE unsigned hak_class_of_pages(size_t pages)
{
    return hak_classes.of_pages[pages];
}

/* The stride; 0 for HAK_CLASS_NONE. */
HAK_INLINE size_t hak_class_bytes(unsigned c)
{
    return c != HAK_CLASS_NONE ? hak_classes.size[c] : 0;
}

/* Mid: what lies between Tiny and 32 KiB, with the aligned classes and the extra one. */
HAK_INLINE int hak_class_is_mid(unsigned c)
{
    return c >= hak_classes.tiny_count && hak_classes.size[c] <= HAK_MID_MAX_BYTES;
}

/* Whole strides of the class in `offset`, below a unit's size. */
HAK_INLINE uint32_t hak_class_strides(unsigned c, uint32_t offset)
{
    return (uint32_t)(((uint64_t)offset * hak_classes.inverse[c]) >> 32);
}

/* Is `offset` a multiple of the stride? */
HAK_INLINE int hak_class_divides(unsigned c, uint32_t offset)
{
    return hak_class_strides(c, offset) * hak_classes.size[c] == offset;
}

#endif
