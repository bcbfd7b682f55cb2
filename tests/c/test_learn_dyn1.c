/* lib/learn/dyn1: the extra class's size from a histogram of requests, against counting by hand. */
#include "check.h"
#include "learn/dyn1.h"

static const uint32_t pow2[] = {2048, 4096, 8192, 16384, 32768};
static const uint32_t fine[] = {2048,  2560,  3072,  3584,  4096,  5120,  6144,  7168, 8192,
                                10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768};
#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

static uint64_t requests[HAK_DYN1_BINS];

static struct hak_dyn1_choice choose(const uint32_t *classes, uint32_t count) {
    struct hak_dyn1_config config = hak_dyn1_config_default();
    return hak_dyn1_choose(&config, requests, classes, count);
}

static void forget(void) {
    memset(requests, 0, sizeof requests);
}

static void one_size_between_two_classes_gets_a_class_of_its_own(void) {
    static const uint32_t kib[] = {3, 5, 6, 7, 9, 11, 13, 17, 20, 25};
    for (size_t i = 0; i < COUNT(kib); i++) {
        forget();
        requests[kib[i]] = 5000;
        CHECK_EQ(choose(pow2, COUNT(pow2)).size_bytes, kib[i] * 1024);
    }
}

static void the_share_saved_is_of_all_bytes_that_mid_serves(void) {
    forget();
    requests[9] = 4000;  /* 4000 * 16 KiB, of which 7 KiB each are saved */
    requests[32] = 2000; /* 2000 * 32 KiB */
    struct hak_dyn1_choice choice = choose(pow2, COUNT(pow2));
    CHECK_EQ(choice.size_bytes, 9 * 1024);
    CHECK_NEAR(choice.saved_share, 4000 * 7.0 / (4000 * 16.0 + 2000 * 32.0), 1e-12);
}

static void a_spread_of_sizes_gets_the_best_compromise(void) {
    forget();
    for (uint32_t k = 9; k <= 16; k++)
        requests[k] = 1000;
    CHECK_EQ(choose(pow2, COUNT(pow2)).size_bytes, 12 * 1024); /* 4 sizes save 4 KiB each */
    requests[10] = 9000;
    CHECK_EQ(choose(pow2, COUNT(pow2)).size_bytes, 10 * 1024);
}

static void sizes_that_classes_fit_need_no_more(void) {
    forget();
    requests[4] = requests[8] = requests[16] = requests[32] = 9000;
    CHECK_EQ(choose(pow2, COUNT(pow2)).size_bytes, 0);
    for (uint32_t k = 3; k < HAK_DYN1_BINS; k++)
        requests[k] = 9000; /* any size: four classes to a doubling leave little */
    CHECK_EQ(choose(fine, COUNT(fine)).size_bytes, 0);
}

static void few_requests_name_no_size(void) {
    forget();
    CHECK_EQ(choose(pow2, COUNT(pow2)).size_bytes, 0);
    requests[9] = 4095;
    CHECK_EQ(choose(pow2, COUNT(pow2)).size_bytes, 0);
    requests[9] = 4096;
    CHECK_EQ(choose(pow2, COUNT(pow2)).size_bytes, 9 * 1024);
}

static uint64_t bytes_with(uint32_t extra) {
    uint64_t bytes = 0;
    for (uint32_t k = 1; k < HAK_DYN1_BINS; k++) {
        uint32_t i = 0;
        while (pow2[i] < k * 1024)
            i++;
        int is_served = extra >= k * 1024 && extra < pow2[i];
        bytes += requests[k] * (is_served ? extra : pow2[i]);
    }
    return bytes;
}

static void no_other_size_saves_more_on_any_histogram(void) {
    struct check_rng rng = check_rng_seed(3);
    for (int round = 0; round < 500; round++) {
        forget();
        for (uint32_t k = 3; k < HAK_DYN1_BINS; k++)
            requests[k] = check_rng_between(&rng, 0, 3) == 0 ? check_rng_between(&rng, 0, 9999) : 0;
        requests[9] += 5000;
        struct hak_dyn1_choice choice = choose(pow2, COUNT(pow2));
        uint64_t least = bytes_with(0);
        for (uint32_t k = 3; k < HAK_DYN1_BINS; k++)
            least = bytes_with(k * 1024) < least ? bytes_with(k * 1024) : least;
        if (choice.size_bytes != 0)
            CHECK_EQ(bytes_with(choice.size_bytes), least);
        else
            CHECK((double)(bytes_with(0) - least) < 0.08 * (double)bytes_with(0));
    }
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(one_size_between_two_classes_gets_a_class_of_its_own);
    RUN(the_share_saved_is_of_all_bytes_that_mid_serves);
    RUN(a_spread_of_sizes_gets_the_best_compromise);
    RUN(sizes_that_classes_fit_need_no_more);
    RUN(few_requests_name_no_size);
    RUN(no_other_size_saves_more_on_any_histogram);
    return check_report();
}
