/* Dealing requests out to arms: see deal.h. */
#include "front/deal.h"

#include "core/config.h"
#include "front/control.h"
#include "learn/dyn1.h"
#include "learn/signature.h"
#include "os/os.h"
#include "slab/sizeclass.h"

/* Measurements wait in a ring: writers take a place by number, the reader empties it. A
 * place that is still taken when its turn comes again loses the newer measurement. */
#define PLACES 8192u
#define ARM_SHIFT 56
#define TAKEN ((uint64_t)1 << 63)
#define NS_MASK (((uint64_t)1 << ARM_SHIFT) - 1)

static struct {
    uint64_t next; /* number of the next measurement */
    uint64_t lost;
    uint64_t places[PLACES];
    uint64_t read; /* the reader's */
} ring;

/* What is left of the window's allowance. */
static struct {
    uint64_t last; /* number of the last measurement that it pays for */
    uint64_t spent_ns, most_ns;
} allowance;

_Static_assert(HAK_DEAL_SIZES == HAK_SIGNATURE_BINS, "one count per bin");
uint64_t hak_deal_big_sizes[HAK_DEAL_SIZES];
#ifndef HAK_WITHOUT_LEARNING
int hak_deal_counts_sizes;
#endif

void hak_deal_count_size(size_t bytes)
{
    hak_add_relaxed(&hak_deal_big_sizes[hak_signature_bin(bytes)], 1);
}

_Static_assert(HAK_DEAL_MID_SIZES == HAK_DYN1_BINS, "one count per bin");
uint64_t hak_deal_mid_sizes[HAK_DEAL_MID_SIZES];

void hak_deal_count_mid(size_t bytes, uint64_t requests)
{
    size_t kib = (bytes + HAK_KIB - 1) / HAK_KIB;
    if (bytes > HAK_TINY_MAX_BYTES && kib < HAK_DEAL_MID_SIZES)
        hak_add_relaxed(&hak_deal_mid_sizes[kib], requests);
}

/* ---- chance ---------------------------------------------------------------------- */

/* xorshift64* (G. Marsaglia, 2003; S. Vigna, 2016), one state per thread. */
static HAK_TLS uint64_t random_state;
static uint64_t seeds;

static uint64_t first_state(void)
{
    uint64_t seed = (uint64_t)hak_knob(learn_seed);
    if (seed == 0)
        seed = hak_os_random();
    seed += (hak_add_relaxed(&seeds, 1) + 1) * 0x9e3779b97f4a7c15u;
    return seed | 1;
}

static uint64_t random_bits(void)
{
    uint64_t x = random_state != 0 ? random_state : first_state();
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    random_state = x;
    return x * 0x2545f4914f6cdd1du;
}

static unsigned draw(const struct hak_policy *policy)
{
    uint32_t at = (uint32_t)(random_bits() >> 48);
    unsigned arm = 0;
    while (arm + 1 < HAK_ARMS && at >= policy->deal_upto[arm])
        arm++;
    return arm;
}

/* The arm that stands while only some requests are dealt out. */
static unsigned arm_in_force(const struct hak_policy *policy)
{
    unsigned arm = 0;
    while (arm + 1 < HAK_ARMS && hak_deal_threshold(arm) < policy->mmap_threshold)
        arm++;
    return arm;
}

static int is_measured(void)
{
    int64_t lg = hak_knob(learn_sample);
    return lg == 0 || random_bits() >> (64 - lg) == 0;
}

/* ---- dealing --------------------------------------------------------------------- */

struct hak_deal hak_deal_request(size_t bytes)
{
    const struct hak_policy *policy = hak_policy_now();
    struct hak_deal deal = {0, 0, 0};
    if (hak_policy_deals(policy) && is_measured()) {
        deal.arm = draw(policy);
        deal.start_ns = hak_os_now_ns();
    } else {
        deal.arm = arm_in_force(policy);
    }
    deal.big = bytes >= hak_deal_threshold(deal.arm);
    return deal;
}

/* Bayes by rejection: among draws, those that agree with what is seen. */
#define MOST_DRAWS 64

struct hak_deal hak_deal_block(size_t bytes, int big)
{
    const struct hak_policy *policy = hak_policy_now();
    struct hak_deal deal = {0, 0, big};
    if (!hak_policy_deals(policy) || !is_measured())
        return deal;
    for (int tries = 0; tries < MOST_DRAWS; tries++) {
        deal.arm = draw(policy);
        if ((bytes >= hak_deal_threshold(deal.arm)) == big) {
            deal.start_ns = hak_os_now_ns();
            return deal;
        }
    }
    return deal; /* of a time when other arms were in play */
}

void hak_deal_open(uint64_t most_operations, uint64_t most_ns)
{
    hak_store_relaxed(&allowance.most_ns, most_ns);
    hak_store_relaxed(&allowance.spent_ns, 0);
    hak_store_relaxed(&allowance.last, hak_load_relaxed(&ring.next) + most_operations);
}

/* Somebody else may be publishing: then a later operation pauses it. */
static HAK_COLD void pause_dealing(void)
{
    if (!hak_publish_begin())
        return;
    for (unsigned arm = 0; arm < HAK_ARMS; arm++)
        hak_policy_learned.deal_upto[arm] = 0;
    hak_publish_end();
}

static void spend(uint64_t number, uint64_t ns)
{
    uint64_t spent = hak_add_relaxed(&allowance.spent_ns, ns) + ns;
    if (number >= hak_load_relaxed(&allowance.last) ||
        spent >= hak_load_relaxed(&allowance.most_ns))
        pause_dealing();
}

void hak_deal_done(const struct hak_deal *deal)
{
    if (deal->start_ns == 0)
        return;
    int saved = errno;
    uint64_t ns = (hak_os_now_ns() - deal->start_ns) & NS_MASK;
    uint64_t number = hak_add_relaxed(&ring.next, 1);
    uint64_t *place = &ring.places[number % PLACES], empty = 0;
    uint64_t word = TAKEN | (uint64_t)deal->arm << ARM_SHIFT | ns;
    if (!hak_cas_acq_rel(place, &empty, word))
        hak_add_relaxed(&ring.lost, 1);
    spend(number, ns);
    errno = saved;
}

unsigned hak_deal_class(size_t bytes)
{
    unsigned class = hak_classes.tiny_count;
    while (class < hak_classes.regular_count && hak_classes.size[class] < bytes)
        class++;
    return class < hak_classes.regular_count ? class : HAK_CLASS_NONE;
}

/* ---- the learner's side ------------------------------------------------------------ */

int hak_deal_next(unsigned *arm, uint64_t *ns)
{
    uint64_t end = hak_load_relaxed(&ring.next);
    if (end - ring.read > PLACES)
        ring.read = end - PLACES;
    for (; ring.read != end; ring.read++) {
        uint64_t word = hak_load_acquire(&ring.places[ring.read % PLACES]);
        if (word == 0) /* lost, or its writer is not there yet: its place is skipped */
            continue;
        hak_store_release(&ring.places[ring.read % PLACES], 0);
        ring.read++;
        *arm = (unsigned)(word >> ARM_SHIFT) & 0x7f;
        *ns = word & NS_MASK;
        return 1;
    }
    return 0;
}

uint64_t hak_deal_lost(void)
{
    return hak_load_relaxed(&ring.lost);
}
