/* front/sites: what labelled sites have asked for, and whether their purpose is inferred. */
#include "front/sites.h"
#include "hak.h"
#include "hakmem.h"
#include "learn/site_policy.h"

BOOT(sites, "HAKMEM_SITES=on")

static const struct hak_site *record_of(uintptr_t site) {
    uint32_t capacity;
    uint64_t *lost;
    const struct hak_site *sites = hak_page_sites(&capacity, &lost);
    for (uint32_t i = 0; sites != NULL && i < capacity; i++)
        if (sites[i].site == site)
            return &sites[i];
    return NULL;
}

static void a_labelled_call_is_counted_to_its_site_exactly(void) {
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = hak_alloc_at(50 + (size_t)i, 0x1001);
    const struct hak_site *record = record_of(0x1001);
    if (!CHECK(record != NULL))
        return;
    CHECK_EQ(record->count, 100);
    CHECK_EQ(record->bytes, 100 * 50 + 99 * 50);
    CHECK_EQ(record->max_bytes, 149);
    CHECK_EQ(record->flags, 0);
    CHECK_EQ(record->sizes[hak_signature_bin(64)], 15); /* 50..64 */
    CHECK_EQ(record->tracked_count - record->freed_count, 100);
    for (int i = 0; i < 60; i++)
        hak_free_cs(blocks[i], 0);
    CHECK_EQ(record->tracked_count - record->freed_count, 40);
    for (int i = 60; i < 100; i++)
        hak_free(blocks[i]);
}

static __attribute__((noinline)) void *from_here(size_t bytes) {
    void *block = hak_alloc_cs(bytes);
    memset(block, 1, 1); /* no tail call */
    return block;
}

static __attribute__((noinline)) void *from_there(size_t bytes) {
    void *block = hak_alloc_cs(bytes);
    memset(block, 2, 1);
    return block;
}

static int sites_with_count(uint64_t count) {
    uint32_t capacity, found = 0;
    uint64_t *lost;
    const struct hak_site *sites = hak_page_sites(&capacity, &lost);
    for (uint32_t i = 0; i < capacity; i++)
        found += sites[i].site != 0 && sites[i].count == count;
    return (int)found;
}

static void the_return_address_tells_sites_apart(void) {
    for (int i = 0; i < 997; i++)
        hak_free_cs(from_here(40), 40);
    for (int i = 0; i < 1009; i++)
        hak_free_cs(from_there(40), 40);
    CHECK_EQ(sites_with_count(997), 1);
    CHECK_EQ(sites_with_count(1009), 1);
}

static __attribute__((noinline)) void *creep_here(void *block) {
    block = hak_realloc(block, 46000); /* its pages count as a larger class than was asked for */
    memset(block, 3, 1);
    return block;
}

static void a_block_that_creeps_is_one_request(void) {
    void *blocks[50];
    for (int i = 0; i < 50; i++) /* of the class that its pages count as */
        blocks[i] = hak_malloc(56000);
    for (int i = 0; i < 50; i++)
        hak_free(blocks[i]);
    void *held = creep_here(hak_malloc(40000)); /* the others have room to spare behind it */
    for (int i = 1; i < 523; i++)
        hak_free(creep_here(hak_malloc(40000)));
    hak_free(held);
    CHECK_EQ(sites_with_count(523), 1);
}

static void a_big_block_is_followed_to_any_free(void) {
    void *block = hak_malloc(3 << 20);
    uint32_t capacity;
    uint64_t *lost;
    const struct hak_site *sites = hak_page_sites(&capacity, &lost), *record = NULL;
    for (uint32_t i = 0; i < capacity; i++)
        if (sites[i].max_bytes == 3 << 20)
            record = &sites[i];
    if (!CHECK(record != NULL))
        return;
    CHECK_EQ(record->tracked_bytes - record->freed_bytes, 3 << 20);
    hak_free(block);
    CHECK_EQ(record->tracked_bytes - record->freed_bytes, 0);
}

static void a_full_table_loses_sites_and_says_so(void) {
    uint32_t capacity;
    uint64_t *lost;
    hak_page_sites(&capacity, &lost);
    for (uintptr_t i = 0; i < 4 * capacity; i++)
        hak_free_cs(hak_alloc_at(10, 0x900000 + 16 * i), 10);
    CHECK(*lost > 0);
}

/* ---- inference, scored --------------------------------------------------------------- */

struct label {
    enum hak_site_policy label;
    size_t low, high; /* sizes, evenly */
    int requests;
};

static const struct label labels[] = {
    {HAK_SITE_SMALL_FREQUENT, 16, 64, 5000},      {HAK_SITE_SMALL_FREQUENT, 100, 900, 500},
    {HAK_SITE_SMALL_FREQUENT, 8, 1024, 100},      {HAK_SITE_SMALL_FREQUENT, 32, 32, 64},
    {HAK_SITE_MEDIUM, 2000, 30000, 200},          {HAK_SITE_MEDIUM, 65536, 131072, 50},
    {HAK_SITE_MEDIUM, 4096, 4096, 16},            {HAK_SITE_MEDIUM, 200000, 900000, 40},
    {HAK_SITE_LARGE_INFREQUENT, 1 << 20, 4 << 20, 20},
    {HAK_SITE_LARGE_INFREQUENT, 2 << 20, 2 << 20, 10},
    {HAK_SITE_LARGE_INFREQUENT, 1 << 20, 2 << 20, 100},
    {HAK_SITE_DEFAULT, 16, 3 << 20, 4},           {HAK_SITE_DEFAULT, 64, 64, 7},
    {HAK_SITE_DEFAULT, 500, 4000, 100}, /* a mixture of tiers */
};

static void ask(const struct label *label, uintptr_t site, struct check_rng *rng) {
    for (int i = 0; i < label->requests; i++) {
        size_t bytes = check_rng_between(rng, label->low, label->high);
        hak_free_cs(hak_alloc_at(bytes, site), bytes);
    }
}

static void purposes_are_inferred_as_labelled(void) {
    struct hak_site_confusion confusion = {{{0}}};
    struct check_rng rng = check_rng_seed(11);
    for (size_t i = 0; i < HAK_COUNT_OF(labels); i++) {
        ask(&labels[i], 0x2001 + i, &rng);
        const struct hak_site *record = record_of(0x2001 + i);
        if (CHECK(record != NULL))
            hak_site_confusion_add(&confusion, labels[i].label,
                                   (enum hak_site_policy)record->policy);
    }
    for (int row = 0; row < HAK_SITE_POLICIES; row++)
        printf("         %-17s %2d %2d %2d %2d\n", hak_site_policy_name(row),
               (int)confusion.cell[row][0], (int)confusion.cell[row][1],
               (int)confusion.cell[row][2], (int)confusion.cell[row][3]);
    CHECK(hak_site_confusion_accuracy(&confusion) >= 0.9);
    for (int policy = 0; policy < HAK_SITE_POLICIES; policy++)
        CHECK(hak_site_confusion_recall(&confusion, policy) >= 0.66);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(a_labelled_call_is_counted_to_its_site_exactly);
    RUN(the_return_address_tells_sites_apart);
    RUN(a_block_that_creeps_is_one_request);
    RUN(a_big_block_is_followed_to_any_free);
    RUN(purposes_are_inferred_as_labelled);
    RUN(a_full_table_loses_sites_and_says_so);
    return check_report();
}
