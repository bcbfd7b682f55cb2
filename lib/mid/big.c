#include "mid/big.h"

#include "core/counters.h"
#include "os/lock.h"
#include "os/os.h"

struct big_block {
    uintptr_t address; /* 0: an unused entry */
    size_t bytes;      /* mapped */
};

/* Open addressing with linear probing; at most half full. */
static struct {
    struct hak_lock lock;
    struct big_block *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
} table;

#define FIRST_CAPACITY 256

static size_t home_of(uintptr_t address)
{
    return (size_t)((address >> 12) * 0x9e3779b97f4a7c15u >> 20) & (table.capacity - 1);
}

static struct big_block *find(uintptr_t address)
{
    if (table.capacity == 0)
        return NULL;
    for (size_t i = home_of(address);; i = (i + 1) & (table.capacity - 1)) {
        if (table.entries[i].address == address)
            return &table.entries[i];
        if (table.entries[i].address == 0)
            return NULL;
    }
}

static void insert(uintptr_t address, size_t bytes)
{
    size_t i = home_of(address);
    while (table.entries[i].address != 0)
        i = (i + 1) & (table.capacity - 1);
    table.entries[i] = (struct big_block){address, bytes};
    table.count++;
}

/* Closes the gap, so that no search breaks off early. */
static void remove_entry(struct big_block *entry)
{
    size_t mask = table.capacity - 1, gap = (size_t)(entry - table.entries);
    for (size_t i = (gap + 1) & mask; table.entries[i].address != 0; i = (i + 1) & mask) {
        size_t home = home_of(table.entries[i].address);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            table.entries[gap] = table.entries[i];
            gap = i;
        }
    }
    table.entries[gap].address = 0;
    table.count--;
}

static int make_room(void)
{
    if (table.count * 2 < table.capacity)
        return 0;
    struct big_block *old = table.entries;
    size_t old_capacity = table.capacity;
    size_t capacity = old_capacity != 0 ? old_capacity * 2 : FIRST_CAPACITY;
    struct big_block *entries = hak_os.map(NULL, capacity * sizeof *entries);
    if (entries == NULL)
        return -ENOMEM;
    table.entries = entries;
    table.capacity = capacity;
    table.count = 0;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].address != 0)
            insert(old[i].address, old[i].bytes);
    if (old != NULL)
        hak_os.unmap(old, old_capacity * sizeof *old);
    return 0;
}

/* Maps with room to spare and gives back what lies before and behind. */
static char *map_aligned(size_t bytes, size_t align)
{
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

static void count_mapped(int64_t bytes, int blocks)
{
    hak_gauge_add(mapped_bytes, bytes);
    hak_gauge_add(big_live_bytes, bytes);
    hak_gauge_add(big_live_blocks, blocks);
}

void *hak_big_alloc(size_t bytes, size_t align)
{
    size_t rounded = hak_align_up(hak_max(bytes, 1), HAK_PAGE_BYTES);
    if (bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = NULL;
    hak_lock_take(&table.lock);
    if (make_room() == 0 && (block = map_aligned(rounded, align)) != NULL)
        insert((uintptr_t)block, rounded);
    hak_lock_release(&table.lock);
    if (block == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    hak_gauge_add(big_maps, 1);
    count_mapped((int64_t)rounded, 1);
    return block;
}

size_t hak_big_usable(const void *block)
{
    hak_lock_take(&table.lock);
    struct big_block *entry = find((uintptr_t)block);
    size_t bytes = entry != NULL ? entry->bytes : 0;
    hak_lock_release(&table.lock);
    return bytes;
}

int hak_big_free(void *block)
{
    size_t bytes = 0;
    hak_lock_take(&table.lock);
    struct big_block *entry = block != NULL ? find((uintptr_t)block) : NULL;
    if (entry != NULL) {
        bytes = entry->bytes;
        remove_entry(entry);
    }
    hak_lock_release(&table.lock);
    if (entry == NULL)
        return -ENOENT;
    hak_os.unmap(block, bytes);
    hak_gauge_add(big_unmaps, 1);
    count_mapped(-(int64_t)bytes, -1);
    return 0;
}

void *hak_big_resize(void *block, size_t bytes)
{
    if (bytes > PTRDIFF_MAX)
        return NULL;
    size_t rounded = hak_align_up(bytes, HAK_PAGE_BYTES), old = 0;
    char *moved = NULL;
    hak_lock_take(&table.lock);
    struct big_block *entry = find((uintptr_t)block);
    if (entry != NULL) {
        old = entry->bytes;
        moved = hak_os.remap(block, old, rounded);
    }
    if (moved != NULL) {
        remove_entry(entry);
        insert((uintptr_t)moved, rounded);
    }
    hak_lock_release(&table.lock);
    if (moved != NULL)
        count_mapped((int64_t)rounded - (int64_t)old, 0);
    return moved;
}

void hak_big_fork_prepare(void)
{
    hak_lock_take(&table.lock);
}

void hak_big_fork_done(int in_child)
{
    if (in_child)
        hak_lock_reset(&table.lock);
    else
        hak_lock_release(&table.lock);
}
