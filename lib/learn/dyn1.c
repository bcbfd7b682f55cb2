/* The size of the extra Mid class: see dyn1.h. */
#include "dyn1.h"

#define KIB UINT32_C(1024)

struct hak_dyn1_config hak_dyn1_config_default(void) {
    return (struct hak_dyn1_config){.min_requests = 4096, .min_share = 0.08};
}

/* The smallest class that holds so many bytes; 0: none. */
static uint32_t class_above(const uint32_t *class_bytes, uint32_t classes, uint32_t bytes) {
    for (uint32_t i = 0; i < classes; i++)
        if (class_bytes[i] >= bytes)
            return class_bytes[i];
    return 0;
}

/* The largest class below so many bytes; 0: none. */
static uint32_t class_below(const uint32_t *class_bytes, uint32_t classes, uint32_t bytes) {
    uint32_t below = 0;
    for (uint32_t i = 0; i < classes && class_bytes[i] < bytes; i++)
        below = class_bytes[i];
    return below;
}

static uint64_t saved_bytes(const uint64_t *requests, const uint32_t *class_bytes, uint32_t classes,
                            uint32_t size) {
    uint32_t above = class_above(class_bytes, classes, size);
    uint64_t served = 0;
    if (above == 0)
        return 0;
    for (uint32_t k = class_below(class_bytes, classes, size) / KIB + 1; k * KIB <= size; k++)
        served += requests[k];
    return served * (above - size);
}

struct hak_dyn1_choice hak_dyn1_choose(const struct hak_dyn1_config *config,
                                       const uint64_t requests[HAK_DYN1_BINS],
                                       const uint32_t *class_bytes, uint32_t classes) {
    struct hak_dyn1_choice best = {0, 0};
    uint64_t count = 0, bytes = 0, most = 0;
    for (uint32_t k = 1; k < HAK_DYN1_BINS; k++) {
        count += requests[k];
        bytes += requests[k] * class_above(class_bytes, classes, k * KIB);
    }
    if (count < config->min_requests || bytes == 0)
        return best;
    for (uint32_t k = 1; k < HAK_DYN1_BINS; k++) {
        uint64_t saved = saved_bytes(requests, class_bytes, classes, k * KIB);
        if (saved <= most)
            continue;
        most = saved;
        best = (struct hak_dyn1_choice){k * KIB, (double)saved / (double)bytes};
    }
    if (best.saved_share < config->min_share)
        best = (struct hak_dyn1_choice){0, best.saved_share};
    return best;
}
