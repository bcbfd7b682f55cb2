/* What a window has shown: see window.h. */
#include "front/window.h"

#include "core/config.h"
#include "core/policy.h"
#include "front/deal.h"
#include "mid/ace.h"
#include "os/page.h"

#define WORDS HAK_CLASS_WORDS_USED

/* Sums over all blocks: at the end of the last window, and now. A gauge's difference means
 * nothing; its value is the sum itself. */
static uint64_t before[HAK_CLASS_CAPACITY][WORDS], now[HAK_CLASS_CAPACITY][WORDS];
static uint64_t big_before[HAK_DEAL_SIZES];
static uint32_t threads;

/* A thread that ends meanwhile may be missed or counted twice: the next window makes up. */
static void sum_up(void)
{
    threads = 0;
    __builtin_memset(now, 0, sizeof now);
    uint32_t used = hak_page() != NULL ? hak_load_acquire(&hak_page()->blocks_used) : 0;
    for (uint32_t i = 0; i < used; i++) {
        const struct hak_block *block = hak_page_block(i);
        uint64_t any = 0;
        for (unsigned c = 0; c < hak_classes.count; c++)
            for (unsigned w = 0; w < WORDS; w++) {
                uint64_t word = hak_load_relaxed(&block->class[c][w]);
                now[c][w] += word;
                any |= word;
            }
        threads += i != 0 && any != 0;
    }
}

static void turn_over(void)
{
    __builtin_memcpy(before, now, sizeof before);
    for (unsigned i = 0; i < HAK_DEAL_SIZES; i++)
        big_before[i] = hak_load_relaxed(&hak_deal_big_sizes[i]);
}

void hak_window_begin(void)
{
    sum_up();
    turn_over();
}

/* Not below 0: a sum taken while a thread retires may lie behind the one before. */
static uint64_t gained(unsigned c, unsigned word)
{
    int64_t gain = (int64_t)(now[c][word] - before[c][word]);
    return gain > 0 ? (uint64_t)gain : 0;
}

static uint64_t gained_pair(unsigned c, unsigned word)
{
    int64_t gain = (int64_t)(now[c][word] + now[c][word + 1] - before[c][word] -
                             before[c][word + 1]);
    return gain > 0 ? (uint64_t)gain : 0;
}

static uint64_t live_blocks(unsigned c)
{
    const uint64_t *n = now[c];
    int64_t live = (int64_t)(n[HAK_CLASS_front_pops] + n[HAK_CLASS_front_pops + 1] +
                             n[HAK_CLASS_direct_allocs] + n[HAK_CLASS_legacy_allocs] -
                             n[HAK_CLASS_front_pushes] - n[HAK_CLASS_front_pushes + 1] -
                             n[HAK_CLASS_remote_frees] - n[HAK_CLASS_direct_frees] -
                             n[HAK_CLASS_legacy_frees]);
    return live > 0 ? (uint64_t)live : 0;
}

static void fill_front(struct hak_ace_class_window *window, unsigned c)
{
    uint64_t pops = gained_pair(c, HAK_CLASS_front_pops);
    uint64_t refills = gained(c, HAK_CLASS_refills);
    window->hits = pops > refills ? pops - refills : 0;
    window->refills = refills;
    window->drains = gained(c, HAK_CLASS_drains);
    window->block_bytes = hak_classes.size[c];
    window->live_bytes = live_blocks(c) * hak_classes.size[c];
    window->mapped_bytes = now[c][HAK_CLASS_mapped_class_bytes];
}

/* Strides above 64 KiB lie on the bins' lower edges; what they hold lies below. */
static void add_sizes(struct hak_signature *sizes, unsigned c)
{
    uint64_t allocations = gained_pair(c, HAK_CLASS_front_pops) +
                           gained(c, HAK_CLASS_direct_allocs) + gained(c, HAK_CLASS_legacy_allocs);
    uint64_t size = hak_classes.size[c];
    hak_signature_add(sizes, size > 64 * HAK_KIB ? size - 1 : size, allocations);
}

uint32_t hak_window_end(struct hak_ace_class_window *fronts, struct hak_signature *sizes)
{
    hak_signature_clear(sizes);
    sum_up();
    for (unsigned c = 0; c < hak_classes.count; c++) {
        if (c < hak_classes.tiny_count)
            fill_front(&fronts[c], c);
        add_sizes(sizes, c);
    }
    for (unsigned bin = 0; bin < HAK_DEAL_SIZES; bin++) {
        uint64_t count = hak_load_relaxed(&hak_deal_big_sizes[bin]) - big_before[bin];
        sizes->count[bin] += count;
        sizes->total += count;
    }
    return threads;
}

static void add_pool(struct hak_trial_window *window, unsigned c)
{
    uint64_t misses = gained(c, HAK_CLASS_pool_misses);
    window->requests += gained(c, HAK_CLASS_pool_hits) + misses;
    window->misses += misses;
    window->live_blocks += live_blocks(c);
    window->mapped_bytes += now[c][HAK_CLASS_mapped_class_bytes];
}

static void add_turned_away(struct hak_trial_window *window, uint64_t requests)
{
    window->misses += requests;
    window->requests += requests;
}

static uint64_t sum_of_scalar(unsigned word)
{
    uint64_t sum = 0;
    uint32_t used = hak_page() != NULL ? hak_load_acquire(&hak_page()->blocks_used) : 1;
    for (uint32_t i = 0; i < used; i++) {
        const struct hak_block *block = i == 0 ? hak_process_block : hak_page_block(i);
        if (block != NULL)
            sum += hak_load_relaxed(&block->scalar[word]);
    }
    return sum;
}

/* A sum taken while a thread retires may lie behind the one before. */
static uint64_t gained_scalar(unsigned word, uint64_t *last)
{
    uint64_t sum = hak_max(sum_of_scalar(word), *last), gain = sum - *last;
    *last = sum;
    return gain;
}

void hak_window_seen(struct hak_trials_seen *seen)
{
    static uint64_t last_turned_away, last_stays, last_moves;
    *seen = (struct hak_trials_seen){.realloc_stays = 0};
    for (unsigned c = hak_classes.tiny_count; c < hak_classes.count; c++)
        add_pool(hak_class_is_mid(c) ? &seen->mid : &seen->large, c);
    /* What W_MAX turned away went to Big: neither tier's alone, so it counts for both. */
    uint64_t turned_away = gained_scalar(HAK_SCALAR_ace_threshold, &last_turned_away);
    add_turned_away(&seen->mid, turned_away);
    add_turned_away(&seen->large, turned_away);
    seen->realloc_stays = gained_scalar(HAK_SCALAR_realloc_stays, &last_stays);
    seen->realloc_moves = gained_scalar(HAK_SCALAR_realloc_moves, &last_moves);
}

struct hak_dyn1_choice hak_window_choose_dyn1(void)
{
    struct hak_dyn1_config config = hak_dyn1_config_default();
    uint64_t requests[HAK_DYN1_BINS];
    for (unsigned k = 0; k < HAK_DYN1_BINS; k++)
        requests[k] = hak_load_relaxed(&hak_deal_mid_sizes[k]);
    unsigned first = hak_classes.tiny_count - 1; /* its size is where Mid begins */
    return hak_dyn1_choose(&config, requests, &hak_classes.size[first],
                           hak_classes.mid_count - first);
}

/* ---- caps --------------------------------------------------------------------------- */

/* With the knobs as they are now; the budget is in MiB. */
static struct hak_cap_config live(const struct hak_cap_config *config, double target_hit,
                                  int64_t step, int64_t budget_mib)
{
    struct hak_cap_config out = *config;
    out.target_hit_rate = target_hit;
    out.step = (uint32_t)step;
    out.budget_bytes = (uint64_t)budget_mib << 20;
    out.min_samples = (uint64_t)hak_knob(learn_min_samples);
    return out;
}

/* A class begins with the cap that it holds when its first rate is known. */
static uint32_t cap_of(unsigned c, uint64_t requests, uint64_t min_samples)
{
    uint32_t cap = hak_policy_now()->ace_cap[c];
    if (cap != 0 || requests < min_samples)
        return cap;
    return (uint32_t)(now[c][HAK_CLASS_mapped_class_bytes] / hak_classes.size[c]);
}

static uint32_t move_range(const struct hak_cap_config *config, unsigned first, unsigned end,
                           int is_pinned)
{
    struct hak_cap_class classes[HAK_CAP_CLASSES_MAX];
    uint32_t count = 0, moved = 0;
    if (is_pinned) { /* as it is, too, when it is let go again */
        for (unsigned c = first; c < end; c++)
            hak_policy_learned.ace_cap[c] = 0;
        return 0;
    }
    for (unsigned c = first; c < end && count < HAK_CAP_CLASSES_MAX; c++, count++) {
        uint64_t hits = gained(c, HAK_CLASS_pool_hits), misses = gained(c, HAK_CLASS_pool_misses);
        classes[count] = (struct hak_cap_class){
            .hits = hits,
            .misses = misses,
            .unit_bytes = hak_classes.size[c],
            .cap = cap_of(c, hits + misses, config->min_samples),
            .in_use = (uint32_t)live_blocks(c),
        };
    }
    hak_cap_move(config, classes, count);
    for (uint32_t i = 0; i < count; i++) {
        moved += hak_policy_now()->ace_cap[first + i] != classes[i].cap;
        hak_policy_learned.ace_cap[first + i] = classes[i].cap;
    }
    return moved;
}

static unsigned pooled_end(void)
{
    unsigned c = hak_classes.mid_count;
    while (c < hak_classes.regular_count && !hak_ace_is_direct(c))
        c++;
    return c;
}

uint32_t hak_window_move_caps(const struct hak_learner_config *config)
{
    struct hak_cap_config mid = live(&config->mid, hak_knob_float(target_hit_mid),
                                     hak_knob(cap_step_mid), hak_knob(budget_mid));
    struct hak_cap_config large = live(&config->large, hak_knob_float(target_hit_large),
                                       hak_knob(cap_step_large), hak_knob(budget_large));
    uint32_t moved = move_range(&mid, hak_classes.tiny_count, hak_classes.mid_count,
                                hak_knob_is_pinned(cap_mid)) +
                     move_range(&large, hak_classes.mid_count, pooled_end(),
                                hak_knob_is_pinned(cap_large));
    turn_over();
    return moved;
}
