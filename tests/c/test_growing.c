/* mid/growing: blocks that creep up by realloc lie in whole pages, which all sizes share. */
#include "mid/growing.h"

#include "hak.h"
#include "mid/span.h"
#include "slab/shared_pool.h"

BOOT(unsampled, "HAKMEM_SAMPLE_BYTES=0") /* a sample lies elsewhere, and does not grow in place */

#define PAGE HAK_PAGE_BYTES
#define CHUNK (4 * HAK_UNIT_BYTES)

/* ---- pages of chunks -------------------------------------------------------------------- */

enum { SEAT = 1, NEXT_SEAT = 2 };

static char *take(size_t pages) {
    return hak_growing_alloc(pages * PAGE, pages * PAGE, SEAT, 1);
}

static char *take_held(size_t pages, unsigned seat) {
    return hak_growing_alloc(pages * PAGE, pages * PAGE, seat, 0);
}

static int resize(char *block, size_t pages) {
    return hak_growing_resize(block, pages * PAGE, pages * PAGE) == pages * PAGE;
}

static void blocks_lie_one_behind_the_other(void) {
    char *a = take(2), *b = take(1), *c = take(5);
    CHECK(a != NULL && b == a + 2 * PAGE && c == b + PAGE);
    CHECK_EQ(hak_zone.map[hak_unit_of(a)], hak_unit_word(HAK_TAG_GROWING, 0));
    CHECK_EQ(hak_growing_bytes(a), 2 * PAGE);
    CHECK_EQ(hak_growing_bytes(c), 5 * PAGE);
    CHECK_EQ(COUNT(growing_bytes), 8 * PAGE);
    CHECK_EQ(hak_growing_free(b), PAGE);
    CHECK_EQ(hak_growing_free(a), 2 * PAGE);
    CHECK_EQ(hak_growing_free(c), 5 * PAGE);
    CHECK_EQ(COUNT(growing_bytes), 0);
}

static void what_one_leaves_serves_other_sizes(void) {
    char *a = take(2), *b = take(3), *c = take(4), *d = take(1);
    hak_growing_free(a);
    hak_growing_free(b); /* the gaps of two are one */
    CHECK(take(5) == a);
    hak_growing_free(c);
    CHECK(take(1) == c); /* the first that fits */
    CHECK(take(3) == c + PAGE);
    hak_growing_free(a);
    hak_growing_free(c);
    hak_growing_free(c + PAGE);
    hak_growing_free(d);
}

static void a_block_grows_into_free_pages_and_into_no_neighbour(void) {
    char *a = take(2), *b = take(2);
    memset(a, 7, 2 * PAGE);
    CHECK(!resize(a, 3));
    CHECK_EQ(hak_growing_bytes(a), 2 * PAGE);
    hak_growing_free(b);
    CHECK(resize(a, 5));
    CHECK_EQ(hak_growing_bytes(a), 5 * PAGE);
    CHECK_EQ(a[2 * PAGE - 1], 7);
    char *c = take(1);
    CHECK(c == a + 5 * PAGE);
    CHECK_EQ(hak_growing_resize(a, 5 * PAGE, 6 * PAGE), 5 * PAGE); /* no room to spare is left */
    hak_growing_free(a);
    hak_growing_free(c);
}

static void a_block_leaves_what_it_does_not_need(void) {
    char *a = take(9);
    CHECK(resize(a, 4));
    char *b = take(5);
    CHECK(b == a + 4 * PAGE);
    CHECK_EQ(COUNT(growing_bytes), 9 * PAGE);
    hak_growing_free(a);
    hak_growing_free(b);
}

static void a_block_does_not_grow_out_of_its_chunk(void) {
    char *a = take(60), *b = take(3);
    CHECK(b == a + 60 * PAGE);
    CHECK(resize(b, 4));
    CHECK(!resize(b, 5));
    hak_growing_free(a);
    CHECK(!resize(b, 64));
    hak_growing_free(b);
}

static void the_largest_takes_a_chunk(void) {
    char *a = take(64);
    CHECK_EQ(hak_growing_bytes(a), CHUNK);
    CHECK_EQ((uintptr_t)a % HAK_UNIT_BYTES, 0);
    memset(a, 1, CHUNK);
    CHECK(resize(a, 1));
    CHECK(resize(a, 64));
    CHECK_EQ(hak_growing_free(a), CHUNK);
}

static void room_to_spare_is_taken_where_there_is_some(void) {
    char *a = take(1);
    char *roomy = hak_growing_alloc(10 * PAGE, 12 * PAGE, SEAT, 1);
    CHECK_EQ(hak_growing_bytes(roomy), 12 * PAGE);
    char *rest = take(64 - 13 - 10);
    char *tight = hak_growing_alloc(10 * PAGE, 12 * PAGE, SEAT, 0);
    CHECK(tight == rest + (64 - 13 - 10) * PAGE);
    CHECK_EQ(hak_growing_bytes(tight), 10 * PAGE);
    hak_growing_free(a);
    hak_growing_free(roomy);
    hak_growing_free(rest);
    hak_growing_free(tight);
}

static void a_chunk_without_blocks_goes_back_to_the_spans(void) {
    char *a = take(40), *b = take(40);
    CHECK(b < a || b >= a + CHUNK); /* in another chunk */
    hak_growing_free(b);
    CHECK_EQ(hak_zone.map[hak_unit_of(b)], 0);
    CHECK_EQ(hak_zone.map[hak_unit_of(a)], hak_unit_word(HAK_TAG_GROWING, 0));
    hak_growing_free(a);
    CHECK_EQ(hak_zone.map[hak_unit_of(a)], 0);
    CHECK(hak_span_reclaim() >= 64 * HAK_UNIT_BYTES); /* nobody has a unit of it any more */
}

static void without_leave_no_chunk_is_taken_and_a_neighbours_serves_first(void) {
    CHECK(take_held(3, SEAT) == NULL);
    char *a = take(3);
    char *b = take_held(4, NEXT_SEAT);
    CHECK(b == a + 3 * PAGE);
    CHECK(take_held(60, NEXT_SEAT) == NULL);
    hak_growing_free(a);
    hak_growing_free(b);
}

static void a_refused_chunk_is_enomem(void) {
    char *held[64];
    unsigned count = 0;
    arm_faults(FAULT_MAP, 1, 100000);
    errno = 0;
    while (count < 64 && (held[count] = take(64)) != NULL)
        count++;
    CHECK(count < 64);
    CHECK_EQ(errno, ENOMEM);
    CHECK(disarm_faults() > 0);
    CHECK((held[count++] = take(64)) != NULL);
    while (count != 0)
        hak_growing_free(held[--count]);
    CHECK_EQ(COUNT(growing_bytes), 0);
}

static void only_the_beginning_of_a_block_is_one(void) {
    char *a = take(3), *b = take(2);
    hak_growing_free(b);
    CHECK_EQ(hak_growing_free(a + PAGE), 0);
    CHECK_EQ(hak_growing_free(a + 8), 0);
    CHECK_EQ(hak_growing_free(b), 0);
    CHECK_EQ(hak_growing_bytes(a + PAGE), 0);
    CHECK_EQ(hak_growing_bytes(a), 3 * PAGE);
    hak_growing_free(a);
}

static void pages_that_stay_free_go_back_and_come_again_as_zero(void) {
    hak_span_purge();
    hak_span_purge(); /* the chunk is of pages without contents */
    char *a = take(2), *b = take(6), *c = take(2);
    memset(a, 1, 2 * PAGE);
    memset(b, 2, 6 * PAGE);
    memset(c, 3, 2 * PAGE);
    hak_growing_free(b);
    CHECK_EQ(hak_growing_purge(), 0); /* they may be wanted */
    char *wanted = take(1);
    CHECK(wanted == b && wanted[0] == 2);
    arm_faults(FAULT_ADVISE, 1, 100000); /* as for locked memory */
    CHECK_EQ(hak_growing_purge(), 0);
    CHECK(disarm_faults() > 0);
    CHECK_EQ(hak_growing_purge(), 5 * PAGE);
    CHECK_EQ(hak_growing_purge(), 0);
    CHECK(resize(wanted, 6));
    CHECK_EQ(wanted[0], 2);
    CHECK_EQ(wanted[PAGE], 0);
    CHECK_EQ(a[2 * PAGE - 1], 1);
    CHECK_EQ(c[0], 3);
    hak_growing_free(a);
    hak_growing_free(wanted);
    hak_growing_free(c);
}

/* ---- what Tiny does not use ------------------------------------------------------------- */

static struct hak_block pool_counts;

static void what_others_left_in_a_chunk_goes_back_too(void) {
    char *whole = take(64);
    memset(whole, 9, CHUNK);
    hak_growing_free(whole); /* the units are dirty, and the next to be taken */
    char *a = take(1);
    CHECK(a == whole && a[0] == 9);
    hak_growing_purge();
    CHECK_EQ(hak_growing_purge(), 63 * PAGE);
    hak_growing_free(a);
}

static void a_slot_that_tiny_does_not_use_serves_but_for_its_header(void) {
    struct hak_pool_outcome outcome;
    struct hak_slab *slabs[40];
    for (int i = 0; i < 40; i++)
        slabs[i] = hak_pool_acquire(5, 3, 1, &pool_counts, &outcome);
    struct hak_slab *first = NULL;
    for (int i = 0; i < 40; i++)
        if (slabs[i]->index == 0)
            first = slabs[i];
    CHECK(first != NULL);
    first->warm = HAK_UNIT_BYTES / PAGE; /* as if blocks had been cut to its end */
    hak_pool_release(first, &pool_counts);
    int64_t lent = COUNT(lent_slots);
    char *a = take(15), *b = take(1);
    CHECK(a == hak_unit_address(hak_slab_unit(first)) + PAGE);
    CHECK(hak_unit_of(b) != hak_unit_of(a));
    CHECK_EQ(COUNT(lent_slots), lent + 1);
    memset(a, 0xee, 15 * PAGE);
    CHECK_EQ(hak_superslab_of(first)->magic, HAK_SUPERSLAB_MAGIC);
    CHECK(!resize(a, 16)); /* the next unit is somebody else's */
    hak_growing_free(a);
    hak_growing_free(b);
    CHECK_EQ(COUNT(lent_slots), lent);
    CHECK(hak_pool_acquire(5, 3, 0, &pool_counts, &outcome) == first);
    for (int i = 0; i < 40; i++)
        hak_pool_release(slabs[i], &pool_counts);
}

/* ---- realloc ---------------------------------------------------------------------------- */

static int is_growing(const void *block) {
    return hak_zone.map[hak_unit_of(block)] >> HAK_TAG_SHIFT == HAK_TAG_GROWING;
}

static char *crept(size_t from, size_t to) {
    return hak_realloc(hak_malloc(from), to);
}

static int lies_in_pages(size_t from, size_t to) {
    char *block = crept(from, to);
    int is = is_growing(block);
    CHECK(hak_malloc_usable_size(block) >= to);
    hak_free(block);
    return is;
}

static void a_block_that_creeps_lies_in_pages(void) {
    CHECK(lies_in_pages(3000, 4000));
    CHECK(lies_in_pages(40000, 60000));
    CHECK(lies_in_pages(200 * HAK_KIB, 256 * HAK_KIB));
    CHECK(!lies_in_pages(2000, 3000));                       /* a page is too much */
    CHECK(!lies_in_pages(10000, 30000));                     /* a leap */
    CHECK(!lies_in_pages(200 * HAK_KIB, 256 * HAK_KIB + 1)); /* it grows where it lies */
    CHECK(!lies_in_pages(60000, 4000));
    SET_KNOB(realloc_pages, 0);
    CHECK(!lies_in_pages(40000, 60000));
    SET_KNOB(realloc_pages, 1);
    hak_classes_set_threshold(&hak_classes, 60000);
    CHECK(!lies_in_pages(40000, 60000)); /* from there on blocks are mapped */
    CHECK(!lies_in_pages(40000, 59000)); /* as its pages would have to be */
    CHECK(lies_in_pages(40000, 56000));
    hak_classes_set_threshold(&hak_classes, (size_t)hak_knob(mmap_threshold));
}

static void it_grows_where_it_lies_and_is_copied_when_it_cannot(void) {
    char *block = crept(10000, 15000), *was = block;
    memset(block, 5, 15000);
    int64_t moves = COUNT(realloc_moves);
    block = hak_realloc(block, 60000);
    CHECK(block == was && COUNT(realloc_moves) == moves);
    char *neighbour = crept(10000, 15000);
    CHECK(neighbour > block && hak_unit_of(neighbour) - hak_unit_of(block) < 4);
    block = hak_realloc(block, 120000);
    CHECK(block != was && COUNT(realloc_moves) == moves + 2); /* one was the neighbour's */
    CHECK_EQ(block[0], 5);
    CHECK_EQ(block[14999], 5);
    was = block;
    block = hak_realloc(block, 9000); /* and leaves pages where it lies */
    CHECK(block == was && hak_malloc_usable_size(block) < 20000);
    block = hak_realloc(block, 100);
    CHECK(!is_growing(block));
    CHECK_EQ(block[99], 5);
    hak_free(block);
    hak_free(neighbour);
    CHECK_EQ(COUNT(growing_bytes), 0);
}

static void each_class_counts_its_own(void) {
    int64_t live[HAK_CLASS_CAPACITY];
    for (unsigned c = 0; c < hak_classes.count; c++)
        live[c] = live_of(c);
    char *block = crept(40000, 50000);
    unsigned class = hak_growing_class(hak_malloc_usable_size(block));
    CHECK_EQ(live_of(class), live[class] + 1);
    block = hak_realloc(block, 100000);
    CHECK_EQ(live_of(class), live[class]);
    hak_classes_set_threshold(&hak_classes, 8192); /* while it lives */
    hak_free(block);
    hak_classes_set_threshold(&hak_classes, (size_t)hak_knob(mmap_threshold));
    for (unsigned c = 0; c < hak_classes.count; c++)
        CHECK_EQ(live_of(c), live[c]);
}

static void a_bad_free_is_told_and_nothing_else(void) {
    char *block = crept(10000, 15000), *other = crept(10000, 15000);
    int64_t foreign = COUNT(foreign_frees), bytes = COUNT(growing_bytes);
    hak_free(block + PAGE);
    hak_free(block + 16);
    CHECK_EQ(COUNT(foreign_frees), foreign + 2);
    CHECK_EQ(COUNT(growing_bytes), bytes);
    hak_free(block);
    hak_free(block); /* a second time */
    CHECK_EQ(COUNT(foreign_frees), foreign + 3);
    hak_free(other);
    CHECK_EQ(COUNT(growing_bytes), 0);
}

/* ---- chance ----------------------------------------------------------------------------- */

enum { THREADS = 4, BUFFERS = 24 };

/* Buffers creep, some change hands; each is full of bytes that its length tells. */
static struct buffer {
    pthread_mutex_t lock;
    unsigned char *bytes;
    size_t size;
} buffers[THREADS * BUFFERS];

struct creeper {
    struct check_rng rng;
    unsigned first, steps, bad;
};

/* 0 .. below - 1 */
static size_t chance(struct creeper *c, size_t below) {
    return check_rng_between(&c->rng, 0, below - 1);
}

static unsigned char mark_of(const struct buffer *buffer) {
    return (unsigned char)((size_t)(buffer - buffers) * 31 + buffer->size);
}

static int holds(const struct buffer *buffer, size_t size, unsigned char mark) {
    for (size_t i = 0; i < size; i += 509)
        if (buffer->bytes[i] != mark)
            return 0;
    return size == 0 || buffer->bytes[size - 1] == mark;
}

static void creep(struct creeper *c, struct buffer *buffer) {
    size_t size = buffer->size + chance(c, buffer->size / 2 + 500);
    unsigned char mark = mark_of(buffer);
    if (size > 280 * HAK_KIB || chance(c, 30) == 0)
        size = 1 + chance(c, buffer->size + 1);
    c->bad += !holds(buffer, buffer->size, mark);
    if (chance(c, 40) == 0) {
        hak_free(buffer->bytes);
        buffer->bytes = NULL;
        buffer->size = 0;
        return;
    }
    unsigned char *bytes = hak_realloc(buffer->bytes, size);
    if (bytes == NULL) {
        c->bad++;
        return;
    }
    buffer->bytes = bytes;
    c->bad += !holds(buffer, hak_min(size, buffer->size), mark);
    c->bad += hak_malloc_usable_size(bytes) < size;
    buffer->size = size;
    memset(bytes, mark_of(buffer), size);
}

static void *creep_on(void *argument) {
    struct creeper *c = argument;
    for (unsigned i = 0; i < c->steps; i++) {
        size_t own = c->first + chance(c, BUFFERS);
        size_t any = chance(c, THREADS * BUFFERS);
        struct buffer *buffer = &buffers[i % 4 == 0 ? any : own];
        pthread_mutex_lock(&buffer->lock);
        creep(c, buffer);
        pthread_mutex_unlock(&buffer->lock);
    }
    return NULL;
}

static unsigned creep_in(unsigned threads) {
    static struct creeper creepers[THREADS];
    unsigned bad = 0;
    for (unsigned i = 0; i < threads; i++)
        creepers[i] = (struct creeper){check_rng_seed(i + 77 * threads), i * BUFFERS,
                                       rounds_of(3000), 0};
    run_threads(threads, creep_on, creepers, sizeof creepers[0]);
    for (unsigned i = 0; i < threads; i++)
        bad += creepers[i].bad;
    for (int i = 0; i < THREADS * BUFFERS; i++) {
        hak_free(buffers[i].bytes);
        buffers[i].bytes = NULL;
        buffers[i].size = 0;
    }
    return bad;
}

static void buffers_that_creep_keep_their_contents(void) {
    for (int i = 0; i < THREADS * BUFFERS; i++)
        pthread_mutex_init(&buffers[i].lock, NULL);
    int64_t errors = COUNT(integrity_errors), foreign = COUNT(foreign_frees);
    CHECK_EQ(creep_in(1), 0);
    CHECK_EQ(creep_in(THREADS), 0);
    CHECK_EQ(COUNT(growing_bytes), 0);
    CHECK_EQ(COUNT(integrity_errors), errors);
    CHECK_EQ(COUNT(foreign_frees), foreign);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(blocks_lie_one_behind_the_other);
    RUN(what_one_leaves_serves_other_sizes);
    RUN(a_block_grows_into_free_pages_and_into_no_neighbour);
    RUN(a_block_leaves_what_it_does_not_need);
    RUN(a_block_does_not_grow_out_of_its_chunk);
    RUN(the_largest_takes_a_chunk);
    RUN(room_to_spare_is_taken_where_there_is_some);
    RUN(a_chunk_without_blocks_goes_back_to_the_spans);
    RUN(without_leave_no_chunk_is_taken_and_a_neighbours_serves_first);
    RUN(a_refused_chunk_is_enomem);
    RUN(only_the_beginning_of_a_block_is_one);
    RUN(pages_that_stay_free_go_back_and_come_again_as_zero);
    RUN(what_others_left_in_a_chunk_goes_back_too);
    RUN(a_slot_that_tiny_does_not_use_serves_but_for_its_header);
    RUN(a_block_that_creeps_lies_in_pages);
    RUN(it_grows_where_it_lies_and_is_copied_when_it_cannot);
    RUN(each_class_counts_its_own);
    RUN(a_bad_free_is_told_and_nothing_else);
    RUN(buffers_that_creep_keep_their_contents);
    return check_report();
}
