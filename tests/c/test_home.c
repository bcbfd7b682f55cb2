/* slab/home: the bits of free blocks, against a plain array of flags. */
#include "slab/home.h"

#include "slabs.h"

enum { MOST = 8192 };

/* A slab of the class with all of its blocks handed out. */
static struct hak_slab *full_slab(unsigned class, void **blocks) {
    struct hak_slab *slab = private_slab(class, ALICE);
    void *end[1] = {NULL}, *list = end;
    unsigned count = 0;
    while (hak_slab_take(slab, 7, &list) != 0)
        ;
    CHECK_EQ(slab->used, slab->capacity);
    for (; list != end; list = *(void **)list)
        blocks[count++] = list;
    CHECK_EQ(count, slab->capacity);
    return slab;
}

static unsigned put_run(struct hak_slab *slab, void **blocks, unsigned count) {
    void *list = NULL;
    for (unsigned i = count; i-- > 0; list = blocks[i])
        *(void **)blocks[i] = list;
    return hak_home_put_run(slab, count, &list);
}

static unsigned put_each(struct hak_slab *slab, void **blocks, unsigned count) {
    unsigned i = 0;
    while (i < count && hak_home_put(slab, slab->class, blocks[i]))
        i++;
    return i;
}

/* Either way by turns. */
static unsigned put(struct hak_slab *slab, void **blocks, unsigned count) {
    static unsigned turn;
    return turn++ % 2 ? put_each(slab, blocks, count) : put_run(slab, blocks, count);
}

static void shuffle(struct check_rng *rng, void **blocks, unsigned count) {
    for (unsigned i = 0; i + 1 < count; i++) {
        unsigned other = (unsigned)check_rng_between(rng, i, count - 1);
        void *block = blocks[i];
        blocks[i] = blocks[other];
        blocks[other] = block;
    }
}

static void what_comes_home_in_disorder_is_taken_in_order(void) {
    static void *blocks[MOST];
    struct check_rng rng = check_rng_seed(3);
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        struct hak_slab *slab = full_slab(class, blocks);
        unsigned count = slab->capacity, got = 0;
        shuffle(&rng, blocks, count);
        CHECK_EQ(put(slab, blocks, count), count);
        CHECK_EQ(slab->used, 0);
        CHECK_EQ(slab->home, count);
        uintptr_t before = 0;
        while (slab->home != 0) {
            void *list = NULL;
            unsigned taken = hak_home_take(slab, 100, &list);
            CHECK_EQ(taken, count - got < 100 ? count - got : 100);
            for (void *block = list; block != NULL; block = *(void **)block, got++) {
                CHECK((uintptr_t)block > before && hak_slab_holds(slab, block));
                before = (uintptr_t)block;
            }
            slab->used = (uint16_t)(slab->used + taken);
        }
        CHECK_EQ(got, count);
    }
}

/* Blocks go out and come home at random; nobody gets one that somebody has. */
static void no_block_is_handed_out_twice(void) {
    static void *blocks[MOST];
    struct check_rng rng = check_rng_seed(11);
    for (unsigned class = 0; class < hak_classes.tiny_count; class += 3) {
        struct hak_slab *slab = full_slab(class, blocks);
        unsigned out = slab->capacity;
        for (int step = 0; step < 300; step++) {
            shuffle(&rng, blocks, out);
            unsigned back = (unsigned)check_rng_between(&rng, 0, out);
            CHECK_EQ(put(slab, blocks + out - back, back), back);
            out -= back;
            void *list = NULL;
            unsigned taken = hak_home_take(slab, (unsigned)check_rng_between(&rng, 0, 700), &list);
            slab->used = (uint16_t)(slab->used + taken);
            for (; list != NULL; list = *(void **)list)
                blocks[out++] = list;
            CHECK_EQ(out, slab->used);
            CHECK_EQ(slab->used + slab->home, slab->capacity);
        }
        shuffle(&rng, blocks, out);
        CHECK_EQ(put(slab, blocks, out), out); /* none of them twice */
    }
}

typedef unsigned put_way(struct hak_slab *slab, void **blocks, unsigned count);

static void check_refusals(put_way *put_some) {
    static void *blocks[MOST];
    unsigned class = hak_class_of(448); /* which does not fill the slab */
    struct hak_slab *slab = full_slab(class, blocks);
    CHECK_EQ(put_some(slab, blocks + 5, 1), 1);
    void *twice[4] = {blocks[0], blocks[1], blocks[5], blocks[2]};
    CHECK_EQ(put_some(slab, twice, 4), 2);
    void *between[3] = {blocks[3], (char *)blocks[7] + 16, blocks[9]};
    CHECK_EQ(put_some(slab, between, 3), 1);
    void *behind[2] = {blocks[4], hak_slab_blocks(slab) + (size_t)slab->capacity * 448};
    CHECK_EQ(put_some(slab, behind, 2), 1);
    CHECK_EQ(slab->home, 5);
    slab->used = 0; /* all that were out are home */
    CHECK_EQ(put_some(slab, blocks + 6, 1), 0);
    CHECK_EQ(slab->home, 5);
}

static void what_may_not_come_home_ends_the_list(void) {
    check_refusals(put_run);
    check_refusals(put_each);
}

static void an_address_in_the_header_does_not_come_home(void) {
    struct hak_superslab *s = hak_superslab_map(19);
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        struct hak_slab *slab = hak_slab_open(s->unit, 0, class, ALICE);
        void *list = NULL;
        while (hak_slab_take(slab, 1000, &list) != 0)
            ;
        for (size_t at = 8; at < HAK_SUPERSLAB_HEADER_BYTES; at += 8)
            CHECK(!hak_home_put(slab, class, (char *)s + at));
    }
    hak_superslab_unmap(s);
}

static void a_block_of_another_slab_is_left_in_the_list(void) {
    static void *blocks[MOST], *others[MOST];
    struct hak_slab *slab = full_slab(8, blocks), *other = full_slab(8, others);
    void *list = blocks[0];
    *(void **)blocks[0] = others[0];
    *(void **)others[0] = NULL;
    CHECK_EQ(hak_home_put_run(slab, 2, &list), 1);
    CHECK(list == others[0]);
    CHECK_EQ(hak_home_put_run(other, 1, &list), 1);
}

static void a_slab_that_is_opened_anew_has_nothing_home(void) {
    static void *blocks[MOST];
    struct hak_superslab *s = hak_superslab_map(19);
    unsigned small = hak_class_of(8), large = hak_class_of(300);
    struct hak_slab *slab = hak_slab_open(s->unit + 3, 3, small, ALICE);
    CHECK_EQ(put(slab, blocks, take_blocks(slab, 5000, blocks)), 5000);
    slab = hak_slab_open(s->unit + 3, 3, large, ALICE);
    CHECK_EQ(slab->home, 0);
    unsigned count = take_blocks(slab, slab->capacity, blocks);
    CHECK_EQ(put(slab, blocks, count), count); /* no bit was left from before */
    slab = hak_slab_open(s->unit + 3, 3, small, ALICE);
    count = take_blocks(slab, slab->capacity, blocks);
    CHECK_EQ(put(slab, blocks, count), count);
    hak_superslab_unmap(s);
}

/* A slab of 8-byte blocks and its neighbours: no two of their words are the same. */
static void each_slab_has_words_of_its_own(void) {
    enum { EACH = HAK_HOME_FIRST_WORDS + HAK_HOME_REST_WORDS };
    struct hak_superslab *s = hak_superslab_map(19);
    for (unsigned i = 0; i < s->slots; i++) {
        struct hak_home home = hak_home_of(hak_slab_open(s->unit + i, i, 0, ALICE));
        for (uint32_t at = 0; at < EACH; at++) {
            CHECK_EQ(*hak_home_word(&home, at), 0);
            *hak_home_word(&home, at) = i * EACH + at + 1;
        }
    }
    for (unsigned i = 0; i < s->slots; i++) {
        struct hak_home home = hak_home_of(&s->slab[i]);
        for (uint32_t at = 0; at < EACH; at++)
            CHECK_EQ(*hak_home_word(&home, at), i * EACH + at + 1);
    }
    memset(s->home, 0, s->slots * EACH * sizeof(uint64_t));
    hak_superslab_unmap(s);
}

static void bits_of_superslabs_that_went_serve_new_ones(void) {
    enum { WORDS = 8 * (HAK_HOME_FIRST_WORDS + HAK_HOME_REST_WORDS) };
    uint64_t *first = hak_home_map(8);
    memset(first, 0xff, WORDS * sizeof *first);
    hak_home_unmap(first, 8);
    CHECK(hak_home_map(16) != first);
    CHECK(hak_home_map(8) == first);
    for (int i = 0; i < WORDS; i++)
        CHECK_EQ(first[i], 0);
}

static void without_memory_for_bits_there_is_no_superslab(void) {
    unsigned taken = 0;
    arm_faults(FAULT_MAP, 2, 1000); /* the SuperSlab itself is mapped */
    errno = 0;
    while (taken < 64 && hak_superslab_map(21) != NULL) {
        taken++;
        arm_faults(FAULT_MAP, 2, 1000);
    }
    CHECK(taken < 64);
    CHECK_EQ(errno, ENOMEM);
    CHECK(disarm_faults() > 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(what_comes_home_in_disorder_is_taken_in_order);
    RUN(no_block_is_handed_out_twice);
    RUN(what_may_not_come_home_ends_the_list);
    RUN(an_address_in_the_header_does_not_come_home);
    RUN(a_block_of_another_slab_is_left_in_the_list);
    RUN(a_slab_that_is_opened_anew_has_nothing_home);
    RUN(each_slab_has_words_of_its_own);
    RUN(bits_of_superslabs_that_went_serve_new_ones);
    RUN(without_memory_for_bits_there_is_no_superslab);
    return check_report();
}
