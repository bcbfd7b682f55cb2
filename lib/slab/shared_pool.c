#include "slab/shared_pool.h"

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "slab/remote.h"
#include "slab/slots.h"

struct request {
    unsigned class;
    uint32_t owner;
    int may_be_new;
    struct hak_block *block;
    const struct hak_policy *policy;
    struct hak_pool_outcome *outcome;
};

uint32_t hak_pool_active(unsigned class)
{
    return hak_load_relaxed(&hak_pools[class].active);
}

static void count_unowned(uint32_t *count, int n)
{
    hak_add_relaxed(count, (uint32_t)n);
}

/* ---- opening ------------------------------------------------------------- */

static void register_superslab(struct hak_superslab *superslab, unsigned class)
{
    uint64_t bit = (uint64_t)1 << class;
    if (hak_load_relaxed(&superslab->classes_seen) & bit)
        return;
    if (__atomic_fetch_or(&superslab->classes_seen, bit, __ATOMIC_RELAXED) & bit)
        return;
    struct hak_class_pool *home = &hak_pools[class];
    hak_lock_take(&hak_pool.lock);
    if (home->registered < HAK_REGISTRY_CAPACITY) {
        hak_registry[home->registered][class] = superslab->unit;
        hak_store_release(&home->registered, home->registered + 1);
    }
    hak_lock_release(&hak_pool.lock);
}

/* A slot just claimed becomes the requester's slab, whatever class it had before. */
static struct hak_slab *open_slot(const struct request *request, size_t unit, unsigned index)
{
    hak_slot_set(unit, HAK_SLOT_ACTIVE, request->class);
    register_superslab(hak_superslab_at(unit - index), request->class);
    hak_slot_count_active(request->class, 1);
    return hak_slab_open(unit, index, request->class, request->owner);
}

/* ---- stage 0.5: slabs that came home while nobody owned them ------------- */

/* EMPTY slots that were released are on the list of stage 1. What only a scan can find
 * is the slab of an ended thread whose last blocks were freed by others. */
static struct hak_slab *take_knocked(const struct request *request, size_t unit)
{
    uint32_t word = hak_load_relaxed(&hak_zone.state[unit]);
    if (hak_slot_state(word) != HAK_SLOT_PUBLISHED || !(word & HAK_SLOT_KNOCKED) ||
        hak_slot_class(word) != request->class || !hak_slot_claim(unit, HAK_SLOT_PUBLISHED))
        return NULL;
    struct hak_slab *slab = hak_slab_of_unit(unit);
    hak_remote_take(slab);
    if (slab->used != 0 || hak_remote_is_queued(slab)) {
        hak_slot_set(unit, HAK_SLOT_PUBLISHED, request->class);
        if (hak_knob(ss_adopt))
            hak_slot_list(&hak_pools[request->class].mailbox, unit);
        return NULL;
    }
    count_unowned(&hak_pools[request->class].unowned, -1);
    hak_slot_count_active(request->class, -1); /* open_slot() counts it again */
    return open_slot(request, unit, slab->index);
}

static struct hak_slab *stage_empty_scan(const struct request *request)
{
    struct hak_class_pool *home = &hak_pools[request->class];
    if (hak_load_relaxed(&home->unowned) == 0)
        return NULL;
    size_t count = hak_min(hak_load_acquire(&home->registered), request->policy->empty_scan_limit);
    for (size_t i = 0; i < count; i++) {
        size_t first = hak_registry[i][request->class];
        size_t slots = hak_superslab_at(first)->slots;
        for (size_t unit = first; unit < first + slots; unit++) {
            struct hak_slab *slab = take_knocked(request, unit);
            if (slab != NULL)
                return slab;
        }
    }
    return NULL;
}

/* ---- stage 1: the list of EMPTY slots of the class ----------------------- */

/* A slot is on one list only: one that became EMPTY while an older hint of it lay in the
 * mailbox is still there. Sends those where they belong, and the others back. */
static void sort_mailbox(struct hak_class_pool *home)
{
    struct hak_slotlist kept = {0};
    size_t unit;
    while ((unit = hak_slotlist_pop(&home->mailbox)) != HAK_NO_UNIT) {
        hak_slot_unlist(unit);
        uint32_t word = hak_load_acquire(&hak_zone.state[unit]);
        if (hak_slot_state(word) == HAK_SLOT_EMPTY)
            hak_slot_list_empty(unit, word);
        else if (hak_slot_state(word) == HAK_SLOT_PUBLISHED)
            hak_slot_list(&kept, unit);
    }
    while ((unit = hak_slotlist_pop(&kept)) != HAK_NO_UNIT)
        hak_slotlist_push(&home->mailbox, unit);
}

static size_t pop_empty(unsigned class)
{
    struct hak_class_pool *home = &hak_pools[class];
    size_t unit = hak_slot_pop_empty(class);
    if (unit == HAK_NO_UNIT && hak_load_relaxed(&home->empty_count) != 0) {
        sort_mailbox(home);
        unit = hak_slot_pop_empty(class);
    }
    return unit;
}

static struct hak_slab *stage_empty_list(const struct request *request)
{
    size_t unit = pop_empty(request->class);
    return unit != HAK_NO_UNIT ? open_slot(request, unit, hak_slot_index_of(unit)) : NULL;
}

/* ---- stage 2: an UNUSED slot of a live SuperSlab -------------------------- */

static struct hak_slab *claim_unused(const struct request *request, struct hak_superslab *superslab)
{
    uint32_t index = hak_load_relaxed(&superslab->claimed);
    do {
        if (index == superslab->slots)
            return NULL;
    } while (!hak_cas_acq_rel(&superslab->claimed, &index, index + 1));
    size_t unit = superslab->unit + index;
    if (!hak_superslab_enter(superslab)) {
        hak_slot_list(&hak_pool.unused, unit);
        return NULL;
    }
    hak_slot_claim(unit, HAK_SLOT_UNUSED);
    return open_slot(request, unit, index);
}

static struct hak_slab *claim_purged(const struct request *request)
{
    size_t unit = hak_slot_pop(&hak_pool.unused, HAK_SLOT_UNUSED);
    if (unit == HAK_NO_UNIT)
        return NULL;
    if (!hak_superslab_enter(hak_superslab_at(unit - hak_slot_index_of(unit)))) {
        hak_slot_set(unit, HAK_SLOT_UNUSED, 0);
        hak_slot_list(&hak_pool.unused, unit);
        return NULL;
    }
    return open_slot(request, unit, hak_slot_index_of(unit));
}

static int may_have_warm(unsigned class)
{
    return !hak_slotlist_is_empty(&hak_pools[class].warm);
}

static unsigned class_with_most_empty(void)
{
    unsigned with_most = 0;
    uint32_t most = 0;
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        uint32_t count = hak_load_relaxed(&hak_pools[class].empty_count);
        if (count > most && may_have_warm(class)) {
            with_most = class;
            most = count;
        }
    }
    return with_most;
}

/* A warm EMPTY slot of the class with the most EMPTY ones; HAK_NO_UNIT: none. A class with few of
 * them is likely to want them back. */
static size_t pop_warm_from_most(void)
{
    size_t unit = hak_slot_pop_warm(class_with_most_empty());
    for (unsigned class = 0; unit == HAK_NO_UNIT && class < hak_classes.tiny_count; class++)
        if (may_have_warm(class))
            unit = hak_slot_pop_warm(class);
    return unit;
}

static size_t pop_any_empty(void)
{
    size_t unit = HAK_NO_UNIT;
    for (unsigned class = 0; unit == HAK_NO_UNIT && class < hak_classes.tiny_count; class++)
        if (hak_load_relaxed(&hak_pools[class].empty_count) != 0)
            unit = pop_empty(class);
    return unit;
}

/* What another class has left EMPTY becomes this one's. */
static struct hak_slab *convert(const struct request *request, size_t unit)
{
    return unit != HAK_NO_UNIT ? open_slot(request, unit, hak_slot_index_of(unit)) : NULL;
}

/* A warm slot of another class comes first: it is in memory already. A cold one is not, and its
 * own class would take a warm one for it when it wants it back: it is the last before a new
 * SuperSlab. */
static struct hak_slab *stage_unused_slot(const struct request *request)
{
    struct hak_slab *slab = convert(request, pop_warm_from_most());
    if (slab != NULL)
        return slab;
    if (!request->may_be_new)
        return NULL;
    slab = claim_purged(request);
    struct hak_superslab *open = hak_load_acquire(&hak_pool.open);
    if (slab == NULL && open != NULL)
        slab = claim_unused(request, open);
    return slab != NULL ? slab : convert(request, pop_any_empty());
}

/* ---- stage 3: a new SuperSlab --------------------------------------------- */

static unsigned superslab_lg_of(unsigned class)
{
    unsigned most = (unsigned)hak_knob(superslab_lg);
    unsigned decided = hak_load_relaxed(&hak_pools[class].superslab_lg); /* at somebody's tick */
    return hak_knob(superslab_sizing) && decided != 0 ? (unsigned)hak_min(decided, most) : most;
}

/* A slab of the SuperSlab that is open, or of a new one; 0, -ENOMEM or -ENOSPC. */
static int open_superslab(const struct request *request, struct hak_slab **slab)
{
    int error = 0;
    if (hak_lock_take(&hak_pool.lock))
        hak_count_scalar(request->block, lock_waits, 1);
    struct hak_superslab *superslab = hak_pool.open;
    if (superslab == NULL || hak_load_relaxed(&superslab->claimed) == superslab->slots) {
        superslab = hak_superslab_map(superslab_lg_of(request->class));
        if (superslab == NULL)
            error = -errno;
        else
            hak_store_release(&hak_pool.open, superslab);
    }
    hak_lock_release(&hak_pool.lock);
    if (error == 0)
        *slab = claim_unused(request, superslab);
    return error;
}

static struct hak_slab *stage_new_superslab(const struct request *request)
{
    struct hak_pool_outcome *outcome = request->outcome;
    struct hak_slab *slab = NULL;
    outcome->active = hak_pool_active(request->class);
    outcome->cap = request->policy->tiny_cap[request->class];
    if (outcome->cap != 0 && outcome->active >= outcome->cap) {
        outcome->reason = HAK_FAIL_SOFT_CAP;
        return NULL;
    }
    int error;
    do /* without a slab and without an error, others took every slot of it: once more */
        error = open_superslab(request, &slab);
    while (error == 0 && slab == NULL);
    if (error != 0)
        outcome->reason = error == -ENOSPC ? HAK_FAIL_REGISTRY_FULL : HAK_FAIL_MAP_FAIL;
    return slab;
}

/* ---- the ways in and out --------------------------------------------------- */

static struct hak_slab *served(const struct request *request, struct hak_slab *slab, unsigned stage)
{
    request->outcome->stage = stage;
    request->outcome->reason = 0;
    hak_count(&request->block->class[request->class][HAK_CLASS_stage_0_5 + stage], 1);
    hak_probe_stage_hit(request->class, stage, (uintptr_t)hak_superslab_of(slab));
    return slab;
}

struct hak_slab *hak_pool_acquire(unsigned class, uint32_t owner, int may_be_new,
                                  struct hak_block *block, struct hak_pool_outcome *outcome)
{
    struct request request = {class, owner, may_be_new, block, hak_policy_now(), outcome};
    struct hak_slab *slab;
    if (hak_knob(ss_empty_reuse)) {
        if ((slab = stage_empty_scan(&request)) != NULL)
            return served(&request, slab, HAK_STAGE_EMPTY_SCAN);
        if ((slab = stage_empty_list(&request)) != NULL)
            return served(&request, slab, HAK_STAGE_EMPTY_LIST);
    }
    if ((slab = stage_unused_slot(&request)) != NULL)
        return served(&request, slab, HAK_STAGE_UNUSED_SLOT);
    if (may_be_new && (slab = stage_new_superslab(&request)) != NULL)
        return served(&request, slab, HAK_STAGE_NEW_SUPERSLAB);
    return NULL;
}

void hak_pool_release(struct hak_slab *slab, struct hak_block *block)
{
    unsigned class = slab->class;
    size_t unit = hak_slab_unit(slab);
    hak_count_class(block, class, slab_empties, 1);
    hak_probe_slab_empty(class, (uintptr_t)hak_superslab_of(slab), slab->index);
    hak_slab_set_owner(slab, HAK_TAG_NOBODY);
    hak_slot_count_active(class, -1);
    hak_slot_make_empty(unit, class);
}

/* ---- units on loan -------------------------------------------------------- */

/* The first slot holds the SuperSlab's header. */
static size_t reserved_in(size_t unit)
{
    return hak_slot_index_of(unit) == 0 ? HAK_SUPERSLAB_HEADER_BYTES : 0;
}

size_t hak_pool_lend(size_t spare, size_t *reserved)
{
    size_t unit = hak_knob(ss_empty_reuse) ? pop_warm_from_most() : HAK_NO_UNIT;
    if (unit != HAK_NO_UNIT && reserved_in(unit) > spare) {
        size_t first = unit;
        unit = pop_warm_from_most();
        hak_slot_make_empty(first, hak_slot_class_of(first));
    }
    if (unit == HAK_NO_UNIT)
        return HAK_NO_UNIT;
    if (reserved_in(unit) > spare) {
        hak_slot_make_empty(unit, hak_slot_class_of(unit));
        return HAK_NO_UNIT;
    }
    *reserved = reserved_in(unit);
    hak_gauge_add(lent_slots, 1);
    return unit;
}

void hak_pool_part_with(const struct hak_slab *slab)
{
    hak_slot_count_active(slab->class, -1);
    hak_gauge_add(lent_slots, 1);
}

void hak_pool_take_back(size_t unit, size_t bytes)
{
    struct hak_slab *slab = hak_slab_of_unit(unit);
    hak_slab_uncut(slab);
    slab->warm = (uint8_t)hak_max(slab->warm, bytes / HAK_PAGE_BYTES);
    hak_slab_set_owner(slab, HAK_TAG_NOBODY);
    hak_gauge_add(lent_slots, -1);
    hak_slot_make_empty(unit, hak_slot_class_of(unit));
}

void hak_pool_publish(struct hak_slab *slab, struct hak_block *block)
{
    unsigned class = slab->class;
    size_t unit = hak_slab_unit(slab);
    hak_slab_set_owner(slab, HAK_TAG_NOBODY);
    count_unowned(&hak_pools[class].unowned, 1);
    hak_slot_set(unit, HAK_SLOT_PUBLISHED, class);
    hak_count_class(block, class, publishes, 1);
    hak_probe_publish(class, (uintptr_t)hak_superslab_of(slab));
    if (hak_knob(ss_adopt))
        hak_slot_list(&hak_pools[class].mailbox, unit);
}

struct hak_slab *hak_pool_adopt(unsigned class, uint32_t owner, struct hak_block *block)
{
    if (!hak_knob(ss_adopt))
        return NULL;
    size_t unit = hak_slot_pop(&hak_pools[class].mailbox, HAK_SLOT_PUBLISHED);
    if (unit == HAK_NO_UNIT)
        return NULL;
    struct hak_slab *slab = hak_slab_of_unit(unit);
    count_unowned(&hak_pools[class].unowned, -1);
    hak_slab_set_owner(slab, owner);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with slab/remote's announce() */
    hak_remote_take(slab);
    hak_count_class(block, class, adopts, 1);
    hak_probe_adopt(class, (uintptr_t)hak_superslab_of(slab));
    return slab;
}

void hak_pool_fork_prepare(void)
{
    hak_lock_take(&hak_pool.lock);
    hak_superslab_fork_prepare();
}

void hak_pool_fork_done(int in_child)
{
    hak_superslab_fork_done(in_child);
    hak_lock_fork_done(&hak_pool.lock, in_child);
}
