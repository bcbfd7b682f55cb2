/* tiny/mix: programs whose sizes change, and what they find in mixed units, by malloc and free. */
#include <sys/wait.h>
#include <unistd.h>

#include "hak.h"
#include "os/zone.h"
#include "slab/mixed.h"

BOOT(unsampled, "HAKMEM_SAMPLE_BYTES=0") /* a sample lies elsewhere */

static uint32_t tag_of(const void *block) {
    return hak_load_acquire(&hak_zone.map[hak_unit_of(block)]) >> HAK_TAG_SHIFT;
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
    RUN(contents_survive_while_sizes_change);
    RUN(contents_survive_in_many_threads);
    RUN(without_the_knob_slabs_stay_what_they_are);
    RUN(a_block_there_is_like_any_other);
    RUN(any_thread_frees_it);
    RUN(the_address_inside_one_is_refused_and_told);
    RUN(a_forked_child_goes_on_with_them);
    return check_report();
}
