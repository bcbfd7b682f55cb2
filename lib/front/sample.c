#include "front/sample.h"

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "front/front.h"
#include "learn/fmath.h"
#include "mid/ace.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/sampled.h"

/* Steps until a countdown that nobody has armed runs out: never. */
#define NEVER ((uint64_t)1 << 62)

/* While nobody listens, samples only feed the table of sites: at most one in so many pops
 * and in so many calls past the front. Telling one costs 0.2 microseconds, so that is
 * below 1 % of the cheapest calls. Weights know of it. */
#define UNHEARD_POPS 4096
#define UNHEARD_DIRECT 64
#define UNHEARD_DIRECT_CHANCE 0.0155035629945915 /* 1 - exp(-1/64): of one call to be considered */

static HAK_TLS struct {
    uint64_t random;
    uint64_t mean_bytes;  /* of the draws that are armed; 0: not sampling */
    uint32_t heard;       /* somebody listened when they were drawn */
    uint32_t direct_left; /* calls past the front until one is considered */
    uint8_t drawn[HAK_CLASS_CAPACITY]; /* the thread uses the class: its countdown is armed */
} sampler;

/* ---- chance ---------------------------------------------------------------- */

/* splitmix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014): one step, any seed. */
static uint64_t next_random(void)
{
    uint64_t z = sampler.random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Uniform in (0, 1]. */
static double uniform(void)
{
    return (double)((next_random() >> 11) + 1) * 0x1p-53;
}

/* To the next point of a Poisson process with this mean. */
static double exponential(double mean)
{
    return -hak_fmath_log(uniform()) * mean;
}

/* That at least one point lies within so many bytes. */
static double chance(double bytes, double mean)
{
    double x = bytes / mean;
    return x < 1e-5 ? x - x * x / 2 : 1 - hak_fmath_exp(-x);
}

/* Mean bytes between the points that pops of this class are drawn by. */
static double mean_of(unsigned class)
{
    double mean = (double)sampler.mean_bytes, most = UNHEARD_POPS * (double)hak_classes.size[class];
    return sampler.heard || mean == 0 || mean > most ? mean : most;
}

/* The first of a row of equal blocks that a point lies in. */
static void arm_class(unsigned class)
{
    uint64_t steps = NEVER;
    if (sampler.mean_bytes != 0)
        steps = 1 + (uint64_t)(exponential(mean_of(class)) / hak_classes.size[class]);
    hak_pair_arm(hak_pair_base(hak_front.block, class, front_pops), steps);
}

/* Calls until one is considered: geometric, so that no rhythm of the program is met. */
static void arm_direct(void)
{
    sampler.direct_left = 1;
    if (!sampler.heard)
        sampler.direct_left += (uint32_t)exponential(UNHEARD_DIRECT);
}

/* Somebody listens, of whom a mean that is not 0 knows. */
static uint32_t is_heard(const struct hak_policy *policy)
{
    return (policy->sample_bytes | policy->listen_bytes) != 0 && hak_probe_is_heard();
}

/* A listener's own mean ends with it, also with one that was killed. */
static uint64_t mean_for(const struct hak_policy *policy, uint32_t heard)
{
    return heard && policy->listen_bytes != 0 ? policy->listen_bytes : policy->sample_bytes;
}

static void arm_all(void)
{
    const struct hak_policy *policy = hak_policy_now();
    sampler.heard = is_heard(policy);
    sampler.mean_bytes = mean_for(policy, sampler.heard);
    arm_direct();
    for (unsigned class = 0; class < hak_classes.count; class++)
        if (sampler.drawn[class])
            arm_class(class);
}

/* Every thread that begins takes another seed, also when it inherits a tag. */
static uint64_t process_seed, threads_seeded;

void hak_sample_start(void)
{
    uint64_t seed = hak_load_relaxed(&process_seed);
    if (seed == 0) {
        seed = (uint64_t)hak_knob(sample_seed);
        seed = seed != 0 ? seed : hak_os_random() | 1;
        hak_store_relaxed(&process_seed, seed);
    }
    sampler.random = seed + (hak_add_relaxed(&threads_seeded, 1) << 32);
    arm_all();
}

/* Draws are logarithms: a thread that lives for a few calls makes few. */
void hak_sample_class(unsigned class)
{
    if (hak_likely(sampler.drawn[class]) || hak_front.block == NULL)
        return;
    sampler.drawn[class] = 1;
    arm_class(class);
}

void hak_sample_follow_policy(void)
{
    const struct hak_policy *policy = hak_policy_now();
    uint32_t heard = is_heard(policy);
    if (hak_unlikely(sampler.heard != heard || sampler.mean_bytes != mean_for(policy, heard)))
        arm_all();
}

/* ---- the table of live samples ------------------------------------------------ */

/* Records in chains. Those in use lie close together, and there are about as many chains as
 * records, so that a few samples touch a few pages. At the default mean, a full table stands
 * for 48 GiB of live memory; what comes then is not sampled, and counted. */
#define MOST_CHAINS ((uint32_t)1 << 17)
#define FIRST_CHAINS ((uint32_t)1 << 8)
#define MOST_LIVE (MOST_CHAINS / 4 * 3)

struct sample {
    uintptr_t address; /* 0 in a copy: there is none */
    uintptr_t site;
    size_t bytes;
    size_t weight_bytes;
    int is_big;    /* has no unit that tells of it */
    uint32_t next; /* of its chain, or the next spare record; 0: the last */
};

static struct {
    struct hak_lock lock;
    size_t live, big;      /* records in use; of these, of blocks outside of the zone */
    uint32_t used, spare;  /* records below `used` were in use at some time; 0 is none */
    uint32_t chains;       /* in use, a power of two; or none yet */
    uint32_t first[MOST_CHAINS];
    struct sample records[MOST_LIVE + 1];
} samples;

static uint32_t chain_of(uintptr_t address)
{
    return (uint32_t)(address * 0x9e3779b97f4a7c15u >> 32) & (samples.chains - 1);
}

/* The link that leads to the record, or that ends the chain. */
static uint32_t *find(uintptr_t address)
{
    uint32_t *link = &samples.first[chain_of(address)];
    while (*link != 0 && samples.records[*link].address != address)
        link = &samples.records[*link].next;
    return link;
}

/* Each chain is parted in two. */
static void double_chains(void)
{
    uint32_t chains = samples.chains;
    samples.chains = chains != 0 ? chains * 2 : FIRST_CHAINS;
    for (uint32_t c = 0; c < chains; c++) {
        uint32_t at = samples.first[c];
        samples.first[c] = 0;
        while (at != 0) {
            struct sample *record = &samples.records[at];
            uint32_t *first = &samples.first[chain_of(record->address)], next = record->next;
            record->next = *first;
            *first = at;
            at = next;
        }
    }
}

static uint32_t take_record(void)
{
    uint32_t at = samples.spare;
    if (at != 0)
        samples.spare = samples.records[at].next;
    else
        at = ++samples.used;
    samples.records[at] = (struct sample){0};
    samples.live++;
    return at;
}

static void put(const struct sample *sample)
{
    if (samples.live >= samples.chains && samples.chains < MOST_CHAINS)
        double_chains();
    uint32_t *link = find(sample->address);
    if (*link == 0)
        *link = take_record();
    struct sample *record = &samples.records[*link];
    uint32_t next = record->next;
    hak_store_relaxed(&samples.big, samples.big + (size_t)(sample->is_big - record->is_big));
    *record = *sample;
    record->next = next;
}

static int remember(const struct sample *sample)
{
    hak_lock_take(&samples.lock);
    int fits = samples.live < MOST_LIVE;
    if (fits)
        put(sample);
    hak_lock_release(&samples.lock);
    return fits;
}

/* An address of 0 in the answer: it was not sampled. */
static struct sample recall(uintptr_t address)
{
    struct sample found = {0};
    hak_lock_take(&samples.lock);
    uint32_t *link = samples.chains != 0 ? find(address) : NULL, at = link != NULL ? *link : 0;
    if (at != 0) {
        found = samples.records[at];
        *link = found.next;
        samples.records[at].next = samples.spare;
        samples.spare = at;
        samples.live--;
        hak_store_relaxed(&samples.big, samples.big - (size_t)found.is_big);
    }
    hak_lock_release(&samples.lock);
    return found;
}

/* ---- sampling --------------------------------------------------------------------- */

/* Tells of a block; 0: the table is full, and it is not sampled. */
static int tell(unsigned class, void *block, const struct hak_call *call, double chance_of_call)
{
    struct sample sample = {(uintptr_t)block, call->site, call->bytes,
                            (size_t)((double)call->bytes / chance_of_call + 0.5),
                            class == HAK_CLASS_NONE, 0};
    if (!remember(&sample)) {
        hak_gauge_add(samples_dropped, 1);
        return 0;
    }
    hak_gauge_add(samples, 1);
    hak_gauge_add(sampled_bytes, sample.weight_bytes);
    hak_probe_alloc(sample.address, sample.bytes, sample.weight_bytes);
    hak_probe_sample_alloc(sample.address, sample.bytes, sample.weight_bytes, class, call->path,
                           sample.site);
    return 1;
}

static void tell_freed(const struct sample *sample)
{
    if (sample->address == 0)
        return;
    hak_gauge_add(samples_freed, 1);
    hak_gauge_add(sampled_freed_bytes, sample->weight_bytes);
    hak_probe_free(sample->address);
}

static void mark_sampled(const void *block, unsigned class)
{
    hak_store_relaxed(&hak_zone.map[hak_unit_of(block)], hak_unit_word(HAK_TAG_SAMPLED, class));
}

/* A block that no list may hold. */
static void *take_sampled(unsigned class)
{
    int zeroed;
    if (class < hak_classes.tiny_count)
        return hak_sampled_alloc(class);
    void *block = hak_ace_direct_alloc(class, 0, &zeroed);
    if (block != NULL)
        mark_sampled(block, class);
    return block;
}

static void give_sampled(size_t unit, unsigned class, void *block)
{
    if (class < hak_classes.tiny_count)
        hak_sampled_free(block);
    else
        hak_ace_direct_free(unit, class, 0);
}

/* Points fall on the bytes of whole blocks; those behind what was asked for are dropped.
 * So a call is sampled with the chance that its own bytes give it. */
static int falls_within(unsigned class, size_t bytes, double mean, double *chance_of_call)
{
    *chance_of_call = chance((double)bytes, mean);
    return uniform() * chance(hak_classes.size[class], mean) <= *chance_of_call && bytes != 0;
}

HAK_NOINLINE void *hak_sample_popped(unsigned class, void *block, const struct hak_call *call)
{
    double mean = mean_of(class), chance_of_call;
    int saved = errno;
    hak_sample_follow_policy();
    arm_class(class);
    if (mean == 0 || !falls_within(class, call->bytes, mean, &chance_of_call))
        return block;
    void *sampled = take_sampled(class);
    errno = saved;
    if (sampled == NULL)
        return block;
    if (!tell(class, sampled, call, chance_of_call)) {
        give_sampled(hak_unit_of(sampled), class, sampled);
        return block;
    }
    hak_front_put_back(class, block);
    return sampled;
}

HAK_NOINLINE void *hak_sample_direct(unsigned class, void *block, const struct hak_call *call)
{
    hak_sample_follow_policy();
    if (sampler.mean_bytes == 0 || --sampler.direct_left != 0)
        return block;
    double chance_of_call = chance((double)call->bytes, (double)sampler.mean_bytes);
    int is_sampled = uniform() <= chance_of_call && call->bytes != 0;
    if (!sampler.heard)
        chance_of_call *= UNHEARD_DIRECT_CHANCE;
    arm_direct();
    if (!is_sampled)
        return block;
    if (class == HAK_CLASS_NONE || hak_ace_is_direct(class)) {
        if (tell(class, block, call, chance_of_call) && class != HAK_CLASS_NONE)
            mark_sampled(block, class);
        return block;
    }
    void *sampled = take_sampled(class);
    if (sampled == NULL)
        return block;
    if (!tell(class, sampled, call, chance_of_call)) {
        give_sampled(hak_unit_of(sampled), class, sampled);
        return block;
    }
    hak_front_count_direct(class);
    hak_free_slow(block);
    return sampled;
}

void hak_sample_free(size_t unit, unsigned class, void *block)
{
    struct sample sample = recall((uintptr_t)block);
    tell_freed(&sample);
    give_sampled(unit, class, block);
}

void hak_sample_forget(void *block)
{
    hak_sample_moving(block);
    hak_sample_moved(1);
}

/* Off the table before its address may be another's; told once it is known to be gone. */
static HAK_TLS struct sample moving;

void hak_sample_moving(void *block)
{
    moving.address = 0;
    if (hak_load_relaxed(&samples.big) != 0)
        moving = recall((uintptr_t)block);
}

void hak_sample_moved(int done)
{
    if (done)
        tell_freed(&moving);
    else if (moving.address != 0)
        remember(&moving);
    moving.address = 0;
}

/* ---- fork ---------------------------------------------------------------------------- */

void hak_sample_fork_prepare(void)
{
    hak_lock_take(&samples.lock);
}

void hak_sample_fork_done(int in_child)
{
    hak_lock_fork_done(&samples.lock, in_child);
}

/* Were it to go on with its parent's draws, both would sample the same calls. */
void hak_sample_fork_child(void)
{
    sampler.random ^= hak_os_random();
    process_seed = 0; /* threads of the child are not its parent's either */
    arm_all();
}
