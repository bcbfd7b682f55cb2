#include "mid/bigmap.h"

#include <sys/mman.h>

#include "core/config.h"
#include "core/counters.h"
#include "os/os.h"

/* Maps with room to spare and gives back what lies before and behind. */
static char *map_aligned(size_t bytes, size_t align)
{
    char *lucky = hak_os.map(NULL, bytes); /* newer kernels align large mappings themselves */
    if (lucky == NULL || ((uintptr_t)lucky & (align - 1)) == 0)
        return lucky;
    hak_os.unmap(lucky, bytes);
    size_t spare = align > HAK_PAGE_BYTES ? align - HAK_PAGE_BYTES : 0, total;
    if (__builtin_add_overflow(bytes, spare, &total))
        return NULL;
    char *start = hak_os.map(NULL, total);
    if (start == NULL || spare == 0)
        return start;
    char *aligned = (char *)hak_align_up((uintptr_t)start, align);
    size_t before = (size_t)(aligned - start), behind = total - before - bytes;
    if (before != 0)
        hak_os.unmap(start, before);
    if (behind != 0)
        hak_os.unmap(aligned + bytes, behind);
    return aligned;
}

/* In `auto`, blocks of this size range get huge pages: large enough to fill them, not so
 * large that the program is likely to want address space rather than memory. */
#define AUTO_HUGE_LEAST (2 * HAK_MIB)
#define AUTO_HUGE_MOST (32 * HAK_MIB)

static int wants_huge_pages(size_t bytes)
{
    int64_t policy = hak_knob(thp);
    return bytes >= HAK_HUGE_PAGE_BYTES &&
           (policy == HAK_THP_ON ||
            (policy == HAK_THP_AUTO && bytes >= AUTO_HUGE_LEAST && bytes <= AUTO_HUGE_MOST));
}

char *hak_bigmap_fresh(size_t bytes, size_t align)
{
    int huge = wants_huge_pages(bytes);
    char *block = map_aligned(bytes, huge ? hak_max(align, HAK_HUGE_PAGE_BYTES) : align);
    if (block == NULL && huge) /* address space is short: huge pages can do without */
        block = map_aligned(bytes, align);
    if (block != NULL) {
        if (huge) /* all of it: a mapping of two kinds could not be moved */
            hak_os.advise(block, bytes, MADV_HUGEPAGE);
        else if (hak_knob(thp) == HAK_THP_OFF)
            hak_os.advise(block, bytes, MADV_NOHUGEPAGE);
        hak_gauge_add(big_maps, 1);
        hak_gauge_add(mapped_bytes, bytes);
    }
    return block;
}

/* ---- growing ------------------------------------------------------------------------- */

/* A page that is faulted in alone costs the kernel four times what it costs as a part of a
 * huge one, and a huge page must lie in the mapping whole when it is first touched. */
size_t hak_bigmap_grown(size_t bytes)
{
    int huge = bytes >= HAK_HUGE_PAGE_BYTES && hak_knob(thp) != HAK_THP_OFF;
    return huge ? hak_align_up(bytes, HAK_HUGE_PAGE_BYTES) : bytes;
}

/* Page tables are moved, not bytes; what lies on huge pages stays on them. */
static char *move_to_huge_pages(char *block, size_t bytes, size_t new_bytes)
{
    char *place = map_aligned(new_bytes, HAK_HUGE_PAGE_BYTES);
    if (place == NULL)
        return NULL;
    if (hak_os.remap(block, bytes, new_bytes, place) == NULL) {
        hak_os.unmap(place, new_bytes);
        return NULL;
    }
    return place;
}

static char *grow_on_huge_pages(char *block, size_t bytes, size_t new_bytes)
{
    char *moved = NULL;
    if ((uintptr_t)block % HAK_HUGE_PAGE_BYTES == 0)
        moved = hak_os.remap(block, bytes, new_bytes, block);
    if (moved == NULL)
        moved = move_to_huge_pages(block, bytes, new_bytes);
    if (moved != NULL)
        hak_os.advise(moved, new_bytes, MADV_HUGEPAGE);
    return moved;
}

char *hak_bigmap_resize(char *block, size_t bytes, size_t new_bytes)
{
    char *moved = NULL;
    if (new_bytes > bytes && new_bytes % HAK_HUGE_PAGE_BYTES == 0 && hak_knob(thp) != HAK_THP_OFF)
        moved = grow_on_huge_pages(block, bytes, new_bytes);
    return moved != NULL ? moved : hak_os.remap(block, bytes, new_bytes, NULL);
}
