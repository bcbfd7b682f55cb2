/* slab/mixed: slabs with few blocks left become units whose holes any size lies in. */
#include "slab/mixed.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/codes.h"
#include "slabs.h"

BOOT(unsampled, "HAKMEM_SAMPLE_BYTES=0") /* a sample lies elsewhere */

/* ---- units ------------------------------------------------------------------------------ */

enum { MOST = HAK_GRANULES, SURVIVORS = 8 };

static struct hak_block counts;

/* A slab of the class with all blocks handed out, to blocks[]; never the first of a SuperSlab. */
static struct hak_slab *full_slab(unsigned class, void **blocks) {
    struct hak_pool_outcome outcome;
    struct hak_slab *slab = NULL;
    while (slab == NULL || slab->index == 0)
        slab = hak_pool_acquire(class, ALICE, 1, &counts, &outcome);
    CHECK_EQ(take_blocks(slab, slab->capacity, blocks), slab->capacity);
    return slab;
}

/* One block in eight survives, from the third on; *kept is their number. They move to the front. */
static struct hak_slab *sparse_slab(unsigned class, void **blocks, unsigned *kept) {
    struct hak_slab *slab = full_slab(class, blocks);
    *kept = 0;
    for (unsigned i = 0; i < slab->capacity; i++)
        if (i % SURVIVORS == 3)
            blocks[(*kept)++] = blocks[i];
        else
            put_block(slab, blocks[i]);
    return slab;
}

static uint32_t tag_of(const void *block) {
    return hak_load_acquire(&hak_zone.map[hak_unit_of(block)]) >> HAK_TAG_SHIFT;
}

static void put(unsigned class, void **blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        void *list = blocks[i];
        *(void **)list = NULL;
        CHECK_EQ(hak_mixed_put(class, 1, &list), 1);
        CHECK(list == NULL);
    }
}

/* As many of the class as there are, by refills of 7. */
static unsigned take_all(unsigned class, void **blocks) {
    unsigned got = 0;
    for (void *list = NULL; got < MOST && hak_mixed_take(class, ALICE, 7, &list) != 0;)
        for (; list != NULL; list = *(void **)list)
            blocks[got++] = list;
    return got;
}

/* Bytes of a unit that two blocks have, or a block and what no block may have. */
static char owned[HAK_UNIT_BYTES];

static unsigned overlaps(unsigned class, void **blocks, unsigned count) {
    unsigned wrong = 0;
    size_t size = hak_classes.size[class];
    for (unsigned i = 0; i < count; i++) {
        size_t at = (uintptr_t)blocks[i] % HAK_UNIT_BYTES;
        wrong += at + size > HAK_UNIT_BYTES;
        for (size_t b = at; b < hak_min(at + size, HAK_UNIT_BYTES); b++)
            wrong += owned[b]++ != 0;
    }
    return wrong;
}

static void the_holes_serve_other_classes_and_no_survivor_is_touched(void) {
    static void *survivors[MOST], *others[MOST];
    static const size_t sizes[] = {16, 48, 64, 80, 256, 512};
    for (unsigned i = 0; i < HAK_COUNT_OF(sizes); i++) {
        unsigned class = hak_class_of(64), other = hak_class_of(sizes[i]), kept;
        struct hak_slab *slab = sparse_slab(class, survivors, &kept);
        int64_t empty = CLASS_COUNT(class, empty_slots);
        CHECK(hak_mixed_convert(slab, ALICE));
        CHECK_EQ(tag_of(survivors[0]), HAK_TAG_MIXED);
        CHECK_EQ(COUNT(mixed_slots), 1);
        unsigned got = take_all(other, others);
        /* Between survivors lie 7 * 64 bytes. */
        CHECK_BETWEEN(got, sizes[i] > 448 ? 0 : kept * (448 / sizes[i]), HAK_UNIT_BYTES / sizes[i]);
        memset(owned, 0, sizeof owned);
        CHECK_EQ(overlaps(class, survivors, kept) + overlaps(other, others, got), 0);
        for (unsigned k = 0; k < got; k++)
            CHECK_EQ(hak_mixed_class(others[k]), other);
        for (unsigned k = 0; k < kept; k++)
            CHECK_EQ(hak_mixed_class(survivors[k]), class);
        put(other, others, got);
        put(class, survivors, kept);
        CHECK_EQ(COUNT(mixed_slots), 0);
        CHECK_EQ(COUNT(lent_slots), 0);
        CHECK_EQ(CLASS_COUNT(class, empty_slots), empty + 1); /* nothing is left in it */
    }
}

static void blocks_are_aligned_as_in_slabs_and_runs(void) {
    static void *survivors[MOST], *others[MOST];
    for (unsigned other = 0; other < hak_classes.mid_count; other++) {
        unsigned class = hak_class_of(112), kept;
        size_t size = hak_classes.size[other];
        if (!hak_mixed_serves(other))
            continue;
        struct hak_slab *slab = sparse_slab(class, survivors, &kept);
        put_block(slab, survivors[--kept]); /* at least one gap is large enough for any class */
        put_block(slab, survivors[--kept]);
        for (unsigned i = 0; i < 4; i++)
            put_block(slab, survivors[--kept]);
        CHECK(hak_mixed_convert(slab, ALICE));
        unsigned got = take_all(other, others);
        CHECK(got != 0);
        size_t align = other < hak_classes.tiny_count ? size & -size : 64;
        for (unsigned i = 0; i < got; i++)
            CHECK_EQ((uintptr_t)others[i] % align, 0);
        put(other, others, got);
        put(class, survivors, kept);
    }
}

static void only_classes_of_whole_granules_up_to_a_page_are_served(void) {
    CHECK(!hak_mixed_serves(hak_class_of(8)));
    CHECK(hak_mixed_serves(hak_class_of(16)));
    CHECK(hak_mixed_serves(hak_class_of(4096)));
    CHECK(!hak_mixed_serves(hak_class_of(4097)));
    CHECK(!hak_mixed_serves(hak_classes.regular_count)); /* blocks at multiples of their size */
}

static void a_superslabs_header_is_no_hole(void) {
    static void *blocks[MOST], *others[MOST];
    struct hak_superslab *superslab = hak_superslab_map(19);
    unsigned class = hak_class_of(1024);
    CHECK(hak_superslab_enter(superslab));
    hak_zone.state[superslab->unit] = hak_slot_word(HAK_SLOT_ACTIVE, class, 0);
    struct hak_slab *slab = hak_slab_open(superslab->unit, 0, class, ALICE);
    take_blocks(slab, slab->capacity, blocks);
    for (unsigned i = 1; i < slab->capacity; i++)
        put_block(slab, blocks[i]);
    CHECK(hak_mixed_convert(slab, ALICE));
    unsigned got = take_all(hak_class_of(32), others);
    CHECK_EQ(got, (HAK_UNIT_BYTES - HAK_SUPERSLAB_HEADER_BYTES - 1024) / 32);
    for (unsigned i = 0; i < got; i++)
        CHECK((uintptr_t)others[i] % HAK_UNIT_BYTES >= HAK_SUPERSLAB_HEADER_BYTES + 1024);
    CHECK_EQ(superslab->magic, HAK_SUPERSLAB_MAGIC);
    put(hak_class_of(32), others, got);
    put(class, blocks, 1);
    CHECK_EQ(COUNT(mixed_slots), 0);
}

static void a_run_of_blocks_comes_back_in_one_go_up_to_another_unit(void) {
    static void *survivors[MOST], *more[MOST];
    unsigned class = hak_class_of(96), kept, kept_more;
    struct hak_slab *a = sparse_slab(class, survivors, &kept);
    struct hak_slab *b = sparse_slab(class, more, &kept_more);
    CHECK(hak_mixed_convert(a, ALICE) && hak_mixed_convert(b, BOB));
    void *list = NULL;
    *(void **)more[0] = NULL;
    list = more[0];
    for (unsigned i = 0; i < 5; i++) {
        *(void **)survivors[i] = list;
        list = survivors[i];
    }
    CHECK_EQ(hak_mixed_put(class, 3, &list), 3);
    CHECK(list == survivors[1]);
    CHECK_EQ(hak_mixed_put(class, 100, &list), 2);
    CHECK(list == more[0]);
    CHECK_EQ(hak_mixed_put(class, 100, &list), 1);
    CHECK(list == NULL);
    put(class, survivors + 5, kept - 5);
    put(class, more + 1, kept_more - 1);
    CHECK_EQ(COUNT(mixed_slots), 0);
}

static void what_is_no_block_is_refused(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    CHECK(hak_mixed_convert(sparse_slab(class, survivors, &kept), ALICE));
    char *block = survivors[0];
    void *list = block + 16;
    memset(block, 0, 64);
    CHECK_EQ(hak_mixed_put(class, 1, &list), 0); /* inside a block */
    list = block + 8;
    CHECK_EQ(hak_mixed_put(class, 1, &list), 0);
    list = block;
    CHECK_EQ(hak_mixed_put(hak_class_of(80), 1, &list), 0); /* of another class */
    CHECK_EQ(hak_mixed_class(block + 16), HAK_CLASS_NONE);
    CHECK_EQ(hak_mixed_class(block + 8), HAK_CLASS_NONE);
    put(class, survivors, 1);
    *(void **)block = NULL;
    list = block;
    CHECK_EQ(hak_mixed_put(class, 1, &list), 0); /* a second time */
    put(class, survivors + 1, kept - 1);
}

static void a_slab_stays_one_where_there_is_no_memory_for_bits(void) {
    static void *blocks[MOST], *more[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, blocks, &kept);
    enum { NEW_SEAT = ALICE - 1 }; /* whose shard has mapped none yet */
    arm_faults(FAULT_MAP, 1, 1);
    CHECK(!hak_mixed_convert(slab, NEW_SEAT));
    CHECK_EQ(disarm_faults(), 1);
    CHECK_EQ(tag_of(blocks[0]), ALICE);
    CHECK_EQ(COUNT(mixed_slots), 0);
    CHECK_EQ(take_blocks(slab, slab->capacity, more), slab->capacity - kept);
    for (unsigned i = 0; i < slab->capacity - kept; i++)
        put_block(slab, more[i]);
    CHECK(hak_mixed_convert(slab, NEW_SEAT));
    put(class, blocks, kept);
}

/* ---- what others have sent --------------------------------------------------------------- */

static void blocks_that_wait_at_the_slab_are_taken_in(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, survivors, &kept);
    push_blocks(slab, survivors, 20); /* linked by the time it changes */
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK_EQ(hak_remote_take(slab), 20);
    push_blocks(slab, survivors + 20, 10); /* and on the remote list */
    CHECK(hak_remote_next(ALICE) == slab);
    CHECK(hak_mixed_convert(slab, ALICE));
    for (unsigned i = 0; i < 30; i++)
        CHECK_EQ(hak_mixed_class(survivors[i]), HAK_CLASS_NONE);
    put(class, survivors + 30, kept - 30);
    CHECK_EQ(COUNT(mixed_slots), 0);
}

static void late_arrivals_come_home_on_the_tick(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, survivors, &kept);
    CHECK(hak_mixed_convert(slab, ALICE));
    push_blocks(slab, survivors, 9); /* by who had read the unit's word before */
    CHECK(!hak_remote_waiting(ALICE));
    put(class, survivors + 9, kept - 9);
    CHECK_EQ(COUNT(mixed_slots), 1);
    hak_mixed_tick();
    CHECK_EQ(COUNT(mixed_slots), 0);
    CHECK_EQ(hak_remote_count(slab), 0);
}

/* The pusher had put it into its owner's queue when it changed: the queue's link is its own. */
static void a_unit_in_a_queue_goes_when_it_has_left_it(void) {
    static void *survivors[MOST];
    unsigned class = hak_class_of(64), kept;
    struct hak_slab *slab = sparse_slab(class, survivors, &kept);
    push_blocks(slab, survivors, 9);
    CHECK(hak_remote_is_queued(slab));
    CHECK(hak_mixed_convert(slab, ALICE));
    put(class, survivors + 9, kept - 9);
    hak_mixed_tick();
    CHECK_EQ(COUNT(mixed_slots), 1);
    CHECK(hak_remote_next(ALICE) == NULL); /* it is not hers any more */
    hak_mixed_tick();
    CHECK_EQ(COUNT(mixed_slots), 0);
}

/* ---- pages --------------------------------------------------------------------------------- */

static size_t pages_in_memory(const void *block) {
    unsigned char vec[HAK_UNIT_BYTES / HAK_PAGE_BYTES];
    size_t pages = 0;
    int mincore(void *address, size_t bytes, unsigned char *vec);
    CHECK_EQ(mincore(hak_unit_address(hak_unit_of(block)), HAK_UNIT_BYTES, vec), 0);
    for (size_t i = 0; i < sizeof vec; i++)
        pages += vec[i] & 1;
    return pages;
}

static void pages_without_blocks_go_back_on_the_second_tick(void) {
    static void *blocks[MOST], *others[MOST];
    unsigned class = hak_class_of(1024);
    struct hak_slab *slab = full_slab(class, blocks);
    for (unsigned i = 1; i < slab->capacity; i++)
        put_block(slab, blocks[i]);
    CHECK(hak_mixed_convert(slab, ALICE));
    CHECK_EQ(pages_in_memory(blocks[0]), 16);
    CHECK_EQ(hak_mixed_tick(), 0);
    void *list = NULL; /* what has been in use meanwhile stays */
    CHECK_EQ(hak_mixed_take(hak_class_of(2048), ALICE, 4, &list), 4);
    void *taken[4];
    for (unsigned i = 0; i < 4; i++, list = *(void **)list)
        taken[i] = list;
    put(hak_class_of(2048), taken, 4);
    size_t gone = hak_mixed_tick();
    CHECK_BETWEEN(gone / HAK_PAGE_BYTES, 10, 13);
    CHECK_EQ(pages_in_memory(blocks[0]), 16 - gone / HAK_PAGE_BYTES);
    gone += hak_mixed_tick();
    CHECK_EQ(gone, 15 * HAK_PAGE_BYTES);
    CHECK_EQ(hak_mixed_tick(), 0); /* they are gone already */
    unsigned got = take_all(hak_class_of(2048), others);
    CHECK_EQ(got, 31);
    CHECK_EQ(pages_in_memory(blocks[0]), 16);
    put(hak_class_of(2048), others, got);
    put(class, blocks, 1);
}

static void refused_advice_changes_nothing(void) {
    static void *blocks[MOST];
    unsigned class = hak_class_of(1024);
    struct hak_slab *slab = full_slab(class, blocks);
    for (unsigned i = 1; i < slab->capacity; i++)
        put_block(slab, blocks[i]);
    CHECK(hak_mixed_convert(slab, ALICE));
    CHECK_EQ(hak_mixed_tick(), 0);
    arm_faults(FAULT_ADVISE, 1, 1000);
    CHECK_EQ(hak_mixed_tick(), 0);
    CHECK(disarm_faults() != 0);
    CHECK_EQ(hak_mixed_tick(), 15 * HAK_PAGE_BYTES);
    put(class, blocks, 1);
}

/* ---- a program whose sizes change ------------------------------------------------------------ */

enum { THREADS = 4, BLOCKS = 60000 };

static struct piece {
    unsigned char *bytes;
    uint32_t size;
} pieces[THREADS * BLOCKS];

struct worker {
    struct check_rng rng;
    unsigned first, count, round, bad;
    size_t budget;
};

static unsigned char mark_of(const struct piece *piece) {
    return (unsigned char)((size_t)(piece - pieces) * 7 + piece->size);
}

static unsigned wrong_bytes(const struct piece *piece) {
    unsigned wrong = 0;
    for (uint32_t i = 0; i < piece->size; i++)
        wrong += piece->bytes[i] != mark_of(piece);
    return wrong;
}

/* Fills its share up to the budget with sizes of the round. */
static void *fill(void *argument) {
    struct worker *w = argument;
    size_t held = 0, least = (size_t)24 << w->round % 7;
    for (unsigned i = 0; i < w->count; i++)
        held += pieces[w->first + i].size;
    for (unsigned i = 0; i < w->count && held < w->budget; i++) {
        struct piece *piece = &pieces[w->first + i];
        if (piece->bytes != NULL)
            continue;
        piece->size = (uint32_t)check_rng_between(&w->rng, least, 2 * least);
        size_t align = (size_t)1 << check_rng_between(&w->rng, 3, 7);
        if (i % 16 != 0)
            piece->bytes = hak_malloc(piece->size);
        else if (hak_posix_memalign((void **)&piece->bytes, align, piece->size) != 0 ||
                 (uintptr_t)piece->bytes % align != 0)
            w->bad++;
        if (piece->bytes == NULL || hak_malloc_usable_size(piece->bytes) < piece->size) {
            w->bad++;
            return NULL;
        }
        memset(piece->bytes, mark_of(piece), piece->size);
        held += piece->size;
    }
    return NULL;
}

/* Of each share one block in eight survives; some of these change their size. */
static void *thin(void *argument) {
    struct worker *w = argument;
    for (unsigned i = 0; i < w->count; i++) {
        struct piece *piece = &pieces[w->first + i];
        if (piece->bytes == NULL)
            continue;
        w->bad += wrong_bytes(piece);
        uint64_t lot = check_rng_between(&w->rng, 0, 63);
        if (lot < 7)
            continue;
        if (lot == 7) {
            uint32_t size = 1 + piece->size * 2 / 3;
            piece->bytes = hak_realloc(piece->bytes, size);
            piece->size = size;
            memset(piece->bytes, mark_of(piece), size);
            continue;
        }
        hak_free(piece->bytes);
        *piece = (struct piece){NULL, 0};
    }
    return NULL;
}

static void run_each(unsigned threads, struct worker *workers, void *(*body)(void *)) {
    if (threads == 1)
        body(&workers[0]);
    else
        run_threads(threads, body, workers, sizeof workers[0]);
}

/* Each round, every thread fills its share and thins its neighbour's. Returns the most mixed units
 * that there were; what was wrong goes to *bad. */
static int64_t change_sizes(unsigned threads, unsigned rounds, unsigned *bad) {
    static struct worker workers[THREADS];
    int64_t most = 0;
    for (unsigned i = 0; i < threads; i++)
        workers[i] = (struct worker){check_rng_seed(i + 1), 0, BLOCKS, 0, 0, 2 * HAK_MIB / threads};
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < threads; i++) {
            workers[i].round = round;
            workers[i].first = i * BLOCKS;
        }
        run_each(threads, workers, fill);
        most = most > COUNT(mixed_slots) ? most : COUNT(mixed_slots);
        for (unsigned i = 0; i < threads; i++)
            workers[i].first = (i + 1) % threads * BLOCKS;
        run_each(threads, workers, thin);
    }
    for (unsigned i = 0; i < threads; i++)
        *bad += workers[i].bad;
    for (unsigned i = 0; i < THREADS * BLOCKS; i++) {
        if (pieces[i].bytes != NULL)
            *bad += wrong_bytes(&pieces[i]);
        hak_free(pieces[i].bytes);
        pieces[i] = (struct piece){NULL, 0};
    }
    return most;
}

static int64_t live_blocks(void) {
    int64_t live = 0;
    for (unsigned class = 0; class < hak_classes.count; class++)
        live += live_of(class);
    return live;
}

static void contents_survive_while_sizes_change(void) {
    unsigned bad = 0;
    int64_t live = live_blocks();
    CHECK(change_sizes(1, rounds_of(15), &bad) > 10);
    CHECK_EQ(bad, 0);
    CHECK_EQ(live_blocks(), live);
    CHECK_EQ(COUNT(integrity_errors), 0);
}

static void contents_survive_in_many_threads(void) {
    unsigned bad = 0;
    int64_t live = live_blocks();
    change_sizes(THREADS, rounds_of(8), &bad);
    CHECK_EQ(bad, 0);
    CHECK_EQ(live_blocks(), live);
    CHECK_EQ(COUNT(integrity_errors), 0);
}

static void without_the_knob_slabs_stay_what_they_are(void) {
    unsigned bad = 0;
    SET_KNOB(mixed_units, 0);
    int64_t before = COUNT(mixed_slots);
    CHECK(change_sizes(1, 4, &bad) <= before);
    SET_KNOB(mixed_units, 1);
    CHECK_EQ(bad, 0);
}

/* ---- one that is in a mixed unit --------------------------------------------------------- */

/* Survivors of 48 bytes in mixed units, by the ways that a program has. */
static unsigned survivors_in_mixed_units(char **survivors, unsigned most) {
    enum { MANY = 120000 };
    static char *blocks[MANY], *others[MANY / 8];
    unsigned kept = 0, found = 0;
    for (unsigned i = 0; i < MANY; i++)
        blocks[i] = hak_malloc(48);
    for (unsigned i = 0; i < MANY; i++)
        if (i % 8 == 5)
            blocks[kept++] = blocks[i];
        else
            hak_free(blocks[i]);
    for (unsigned i = 0; i < MANY / 8; i++)
        others[i] = hak_malloc(200);
    for (unsigned i = 0; i < MANY / 8; i++)
        hak_free(others[i]);
    for (unsigned i = 0; i < kept; i++)
        if (found < most && tag_of(blocks[i]) == HAK_TAG_MIXED)
            survivors[found++] = blocks[i];
        else
            hak_free(blocks[i]);
    return found;
}

static void a_block_there_is_like_any_other(void) {
    char *survivors[4];
    CHECK_EQ(survivors_in_mixed_units(survivors, 4), 4);
    int64_t stays = COUNT(realloc_stays), frees = CLASS_COUNT(hak_class_of(48), front_pushes);
    CHECK_EQ(hak_malloc_usable_size(survivors[0]), 48);
    strcpy(survivors[0], "forty bytes and more");
    CHECK(hak_realloc(survivors[0], 40) == survivors[0]);
    CHECK_EQ(COUNT(realloc_stays), stays + 1);
    char *moved = hak_realloc(survivors[0], 1000);
    CHECK_TEXT(moved, "forty bytes and more");
    hak_free(moved);
    hak_free(survivors[1]);
    CHECK(hak_malloc(48) == survivors[1]); /* it went through the thread's list */
    hak_free(survivors[1]);
    CHECK_EQ(CLASS_COUNT(hak_class_of(48), front_pushes), frees + 3);
    hak_free(survivors[2]);
    hak_free(survivors[3]);
    CHECK_EQ(COUNT(integrity_errors), 0);
}

static void *free_it(void *block) {
    hak_free(block);
    return NULL;
}

static void any_thread_frees_it(void) {
    char *survivor;
    CHECK_EQ(survivors_in_mixed_units(&survivor, 1), 1);
    int64_t live = live_blocks();
    run_thread(free_it, survivor);
    CHECK_EQ(live_blocks(), live - 1);
    CHECK_EQ(hak_mixed_class(survivor), HAK_CLASS_NONE); /* that thread has ended, and drained */
}

static void the_address_inside_one_is_refused_and_told(void) {
    char *survivor;
    CHECK_EQ(survivors_in_mixed_units(&survivor, 1), 1);
    int64_t errors = COUNT(integrity_errors), live = live_blocks();
    hak_free(survivor + 16);
    hak_free(survivor + 4);
    CHECK_EQ(COUNT(integrity_errors), errors + 2);
    CHECK_EQ(live_blocks(), live);
    hak_free(survivor);
}

static void a_forked_child_goes_on_with_them(void) {
    char *survivors[100];
    CHECK_EQ(survivors_in_mixed_units(survivors, 100), 100);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned bad = 0;
        for (int i = 0; i < 100; i++)
            hak_free(survivors[i]);
        change_sizes(1, 4, &bad);
        _exit(bad == 0 ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    for (int i = 0; i < 100; i++)
        hak_free(survivors[i]);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(the_holes_serve_other_classes_and_no_survivor_is_touched);
    RUN(blocks_are_aligned_as_in_slabs_and_runs);
    RUN(only_classes_of_whole_granules_up_to_a_page_are_served);
    RUN(a_superslabs_header_is_no_hole);
    RUN(a_run_of_blocks_comes_back_in_one_go_up_to_another_unit);
    RUN(what_is_no_block_is_refused);
    RUN(a_slab_stays_one_where_there_is_no_memory_for_bits);
    RUN(blocks_that_wait_at_the_slab_are_taken_in);
    RUN(late_arrivals_come_home_on_the_tick);
    RUN(a_unit_in_a_queue_goes_when_it_has_left_it);
    RUN(pages_without_blocks_go_back_on_the_second_tick);
    RUN(refused_advice_changes_nothing);
    RUN(contents_survive_while_sizes_change);
    RUN(contents_survive_in_many_threads);
    RUN(without_the_knob_slabs_stay_what_they_are);
    RUN(a_block_there_is_like_any_other);
    RUN(any_thread_frees_it);
    RUN(the_address_inside_one_is_refused_and_told);
    RUN(a_forked_child_goes_on_with_them);
    return check_report();
}
