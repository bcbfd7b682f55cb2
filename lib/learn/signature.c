/* Size signature: see signature.h. */
#include "signature.h"

#include "fmath.h"

void hak_signature_clear(struct hak_signature *signature) {
    *signature = (struct hak_signature){.total = 0};
}

/* Index of the highest set bit; x > 0. */
static uint32_t floor_log2(uint64_t x) { return 63 - (uint32_t)__builtin_clzll(x); }

uint32_t hak_signature_bin(uint64_t size_bytes) {
    if (size_bytes <= 16)
        return 0;
    if (size_bytes < 65536)
        return floor_log2(size_bytes - 1) - 3; /* 17..32 -> 1, 16385..32768 -> 11 */
    uint32_t bin = floor_log2(size_bytes) - 3; /* 65536 -> 13 */
    return bin < HAK_SIGNATURE_BINS ? bin : HAK_SIGNATURE_BINS - 1;
}

void hak_signature_add(struct hak_signature *signature, uint64_t size_bytes,
                       uint64_t allocations) {
    signature->count[hak_signature_bin(size_bytes)] += allocations;
    signature->total += allocations;
}

void hak_signature_merge(struct hak_signature *into, const struct hak_signature *from) {
    for (int bin = 0; bin < HAK_SIGNATURE_BINS; bin++)
        into->count[bin] += from->count[bin];
    into->total += from->total;
}

double hak_signature_distance(const struct hak_signature *a, const struct hak_signature *b) {
    if (a->total == 0 || b->total == 0)
        return NAN;
    double sum = 0;
    for (int bin = 0; bin < HAK_SIGNATURE_BINS; bin++) {
        double difference = (double)a->count[bin] / (double)a->total -
                            (double)b->count[bin] / (double)b->total;
        sum += difference < 0 ? -difference : difference;
    }
    return sum;
}

double hak_signature_noise(const struct hak_signature *a, const struct hak_signature *b) {
    if (a->total == 0 || b->total == 0)
        return NAN;
    const double two_over_pi = 0.63661977236758134308;
    double spread = 1 / (double)a->total + 1 / (double)b->total, sum = 0;
    for (int bin = 0; bin < HAK_SIGNATURE_BINS; bin++) {
        double pooled = ((double)a->count[bin] + (double)b->count[bin]) /
                        ((double)a->total + (double)b->total);
        sum += hak_fmath_sqrt(two_over_pi * pooled * (1 - pooled) * spread);
    }
    return sum;
}

double hak_signature_shift(const struct hak_signature *a, const struct hak_signature *b) {
    double excess = hak_signature_distance(a, b) - 2 * hak_signature_noise(a, b);
    return excess < 0 ? 0 : excess; /* NaN stays NaN */
}
