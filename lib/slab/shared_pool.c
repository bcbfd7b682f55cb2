#include "slab/shared_pool.h"

#include <sys/mman.h>

#include "core/codes.h"
#include "core/config.h"
#include "core/probe.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/remote.h"
#include "slab/slotlist.h"

/* SuperSlabs of a class that stage 0.5 can look at: the knob's upper bound. */
#define REGISTRY_CAPACITY 4096

struct class_pool {
    struct hak_slotlist empty;     /* hints of EMPTY slots */
    struct hak_slotlist mailbox;   /* hints of PUBLISHED slots */
    uint32_t active;               /* slots of the class that are not EMPTY */
    uint32_t peak;                 /* the most that `active` has been */
    uint32_t empty_count;          /* EMPTY slots */
    uint32_t empty_least;          /* the fewest there were since the last purge */
    uint32_t unowned;              /* PUBLISHED slots */
    uint32_t superslab_lg;         /* size of the next SuperSlab for it; 0: not decided */
    uint32_t registered;           /* SuperSlabs in `registry` */
    uint32_t registry[REGISTRY_CAPACITY]; /* first units */
} HAK_CACHE_ALIGNED;

static struct class_pool pools[HAK_TINY_CLASS_CAPACITY];

static struct {
    struct hak_lock lock;         /* mapping of SuperSlabs, and the registries */
    struct hak_superslab *open;   /* has UNUSED slots, or NULL */
    struct hak_slotlist unused;   /* hints of slots that are UNUSED again: purged ones */
} pool;

struct request {
    unsigned class;
    uint32_t owner;
    struct hak_block *block;
    const struct hak_policy *policy;
    struct hak_pool_outcome *outcome;
};

uint32_t hak_pool_active(unsigned class)
{
    return hak_load_relaxed(&pools[class].active);
}

/* ---- claiming ------------------------------------------------------------ */

static void add(uint32_t *count, int n)
{
    hak_add_relaxed(count, (uint32_t)n);
}

static void note_peak(unsigned class, uint32_t active)
{
    uint32_t peak = hak_load_relaxed(&pools[class].peak);
    while (active > peak && !hak_cas_acq_rel(&pools[class].peak, &peak, active))
        ;
    if (active > peak)
        hak_gauge_class_add(class, peak_slots, active - peak);
}

static void count_active(unsigned class, int n)
{
    note_peak(class, hak_add_relaxed(&pools[class].active, (uint32_t)n) + (uint32_t)n);
    hak_gauge_class_add(class, active_slots, n);
    hak_gauge_class_add(class, mapped_class_bytes, n * (int64_t)HAK_UNIT_BYTES);
}

static void count_empty(unsigned class, int n)
{
    uint32_t now = hak_add_relaxed(&pools[class].empty_count, (uint32_t)n) + (uint32_t)n;
    if (now < hak_load_relaxed(&pools[class].empty_least))
        hak_store_relaxed(&pools[class].empty_least, now);
    hak_gauge_class_add(class, empty_slots, n);
}

/* The slot goes from `from` to ACTIVE if it is in that state; flags stay but KNOCKED. */
static int claim(size_t unit, enum hak_slot_state from)
{
    uint32_t word = hak_load_acquire(&hak_zone.state[unit]), active;
    do {
        if (hak_slot_state(word) != from)
            return 0;
        active = (word & ~(HAK_SLOT_STATE_MASK | HAK_SLOT_KNOCKED)) | HAK_SLOT_ACTIVE;
    } while (!hak_cas_acq_rel(&hak_zone.state[unit], &word, active));
    return 1;
}

/* The caller's ACTIVE slot goes to `to` under `class`; flags stay (a knock may have come
 * between giving up ownership and this). */
static void set_state(size_t unit, enum hak_slot_state to, unsigned class)
{
    uint32_t *state = &hak_zone.state[unit];
    uint32_t word = hak_load_relaxed(state), next;
    do
        next = (word & (HAK_SLOT_LISTED | HAK_SLOT_KNOCKED)) |
               hak_slot_word(to, class, hak_slot_index(word));
    while (!hak_cas_acq_rel(state, &word, next));
}

static void list_slot(struct hak_slotlist *list, size_t unit)
{
    uint32_t word = __atomic_fetch_or(&hak_zone.state[unit], HAK_SLOT_LISTED, __ATOMIC_ACQ_REL);
    if (!(word & HAK_SLOT_LISTED)) /* an older entry, in whatever list, still leads here */
        hak_slotlist_push(list, unit);
}

static void unlist_slot(size_t unit)
{
    hak_and_acq_rel(&hak_zone.state[unit], ~HAK_SLOT_LISTED);
}

/* Pops hints until one leads to a slot that is still `wanted`. A slot that has changed
 * sides meanwhile goes to the list where it belongs. */
static size_t pop_claimed(struct hak_slotlist *list, enum hak_slot_state wanted)
{
    for (;;) {
        size_t unit = hak_slotlist_pop(list);
        if (unit == HAK_NO_UNIT)
            return HAK_NO_UNIT;
        unlist_slot(unit);
        if (claim(unit, wanted))
            return unit;
        uint32_t word = hak_load_acquire(&hak_zone.state[unit]);
        struct class_pool *home = &pools[hak_slot_class(word)];
        if (hak_slot_state(word) == HAK_SLOT_EMPTY)
            list_slot(&home->empty, unit);
        else if (hak_slot_state(word) == HAK_SLOT_PUBLISHED && hak_knob(ss_adopt))
            list_slot(&home->mailbox, unit);
    }
}

static void register_superslab(struct hak_superslab *superslab, unsigned class)
{
    uint64_t bit = (uint64_t)1 << class;
    if (hak_load_relaxed(&superslab->classes_seen) & bit)
        return;
    if (__atomic_fetch_or(&superslab->classes_seen, bit, __ATOMIC_RELAXED) & bit)
        return;
    struct class_pool *home = &pools[class];
    hak_lock_take(&pool.lock);
    if (home->registered < REGISTRY_CAPACITY) {
        home->registry[home->registered] = superslab->unit;
        hak_store_release(&home->registered, home->registered + 1);
    }
    hak_lock_release(&pool.lock);
}

/* A slot just claimed becomes the requester's slab, whatever class it had before. */
static struct hak_slab *open_slot(const struct request *request, size_t unit, unsigned index)
{
    set_state(unit, HAK_SLOT_ACTIVE, request->class);
    register_superslab(hak_superslab_at(unit - index), request->class);
    count_active(request->class, 1);
    return hak_slab_open(unit, index, request->class, request->owner);
}

static unsigned index_of(size_t unit)
{
    return hak_slot_index(hak_load_relaxed(&hak_zone.state[unit]));
}

/* ---- stage 0.5: slabs that came home while nobody owned them ------------- */

/* EMPTY slots that were released are on the list of stage 1. What only a scan can find
 * is the slab of an ended thread whose last blocks were freed by others. */
static struct hak_slab *take_knocked(const struct request *request, size_t unit)
{
    uint32_t word = hak_load_relaxed(&hak_zone.state[unit]);
    if (hak_slot_state(word) != HAK_SLOT_PUBLISHED || !(word & HAK_SLOT_KNOCKED) ||
        hak_slot_class(word) != request->class || !claim(unit, HAK_SLOT_PUBLISHED))
        return NULL;
    struct hak_slab *slab = hak_slab_of_unit(unit);
    hak_remote_take(slab);
    if (slab->used != 0 || hak_remote_is_queued(slab)) {
        set_state(unit, HAK_SLOT_PUBLISHED, request->class);
        if (hak_knob(ss_adopt))
            list_slot(&pools[request->class].mailbox, unit);
        return NULL;
    }
    add(&pools[request->class].unowned, -1);
    count_active(request->class, -1); /* open_slot() counts it again */
    return open_slot(request, unit, slab->index);
}

static struct hak_slab *stage_empty_scan(const struct request *request)
{
    struct class_pool *home = &pools[request->class];
    if (hak_load_relaxed(&home->unowned) == 0)
        return NULL;
    size_t count = hak_min(hak_load_acquire(&home->registered), request->policy->empty_scan_limit);
    for (size_t i = 0; i < count; i++) {
        size_t first = home->registry[i];
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
static void sort_mailbox(struct class_pool *home)
{
    struct hak_slotlist kept = {0};
    size_t unit;
    while ((unit = hak_slotlist_pop(&home->mailbox)) != HAK_NO_UNIT) {
        unlist_slot(unit);
        enum hak_slot_state state = hak_slot_state(hak_load_acquire(&hak_zone.state[unit]));
        if (state == HAK_SLOT_EMPTY)
            list_slot(&home->empty, unit);
        else if (state == HAK_SLOT_PUBLISHED)
            list_slot(&kept, unit);
    }
    while ((unit = hak_slotlist_pop(&kept)) != HAK_NO_UNIT)
        hak_slotlist_push(&home->mailbox, unit);
}

static struct hak_slab *stage_empty_list(const struct request *request)
{
    struct class_pool *home = &pools[request->class];
    size_t unit = pop_claimed(&home->empty, HAK_SLOT_EMPTY);
    if (unit == HAK_NO_UNIT && hak_load_relaxed(&home->empty_count) != 0) {
        sort_mailbox(home);
        unit = pop_claimed(&home->empty, HAK_SLOT_EMPTY);
    }
    if (unit == HAK_NO_UNIT)
        return NULL;
    count_empty(request->class, -1);
    return open_slot(request, unit, index_of(unit));
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
        list_slot(&pool.unused, unit);
        return NULL;
    }
    claim(unit, HAK_SLOT_UNUSED);
    return open_slot(request, unit, index);
}

static struct hak_slab *claim_purged(const struct request *request)
{
    size_t unit = pop_claimed(&pool.unused, HAK_SLOT_UNUSED);
    if (unit == HAK_NO_UNIT)
        return NULL;
    if (!hak_superslab_enter(hak_superslab_at(unit - index_of(unit)))) {
        set_state(unit, HAK_SLOT_UNUSED, 0);
        list_slot(&pool.unused, unit);
        return NULL;
    }
    return open_slot(request, unit, index_of(unit));
}

/* Another class's EMPTY slot serves as well, and is likely to be in memory already. */
static struct hak_slab *convert_empty(const struct request *request)
{
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        if (class == request->class || hak_load_relaxed(&pools[class].empty_count) == 0)
            continue;
        size_t unit = pop_claimed(&pools[class].empty, HAK_SLOT_EMPTY);
        if (unit == HAK_NO_UNIT)
            continue;
        count_empty(class, -1);
        return open_slot(request, unit, index_of(unit));
    }
    return NULL;
}

static struct hak_slab *stage_unused_slot(const struct request *request)
{
    struct hak_slab *slab = convert_empty(request);
    if (slab == NULL)
        slab = claim_purged(request);
    struct hak_superslab *open = hak_load_acquire(&pool.open);
    if (slab == NULL && open != NULL)
        slab = claim_unused(request, open);
    return slab;
}

/* ---- stage 3: a new SuperSlab --------------------------------------------- */

static unsigned superslab_lg_of(unsigned class)
{
    unsigned most = (unsigned)hak_knob(superslab_lg), decided = pools[class].superslab_lg;
    return hak_knob(superslab_sizing) && decided != 0 ? (unsigned)hak_min(decided, most) : most;
}

/* A slab of the SuperSlab that is open, or of a new one; 0, -ENOMEM or -ENOSPC. */
static int open_superslab(const struct request *request, struct hak_slab **slab)
{
    int error = 0;
    if (hak_lock_take(&pool.lock))
        hak_count_scalar(request->block, lock_waits, 1);
    struct hak_superslab *superslab = pool.open;
    if (superslab == NULL || hak_load_relaxed(&superslab->claimed) == superslab->slots) {
        superslab = hak_superslab_map(superslab_lg_of(request->class));
        if (superslab == NULL)
            error = -errno;
        else
            hak_store_release(&pool.open, superslab);
    }
    hak_lock_release(&pool.lock);
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

struct hak_slab *hak_pool_acquire(unsigned class, uint32_t owner, struct hak_block *block,
                                  struct hak_pool_outcome *outcome)
{
    struct request request = {class, owner, block, hak_policy_now(), outcome};
    struct hak_slab *slab;
    if (hak_knob(ss_empty_reuse)) {
        if ((slab = stage_empty_scan(&request)) != NULL)
            return served(&request, slab, HAK_STAGE_EMPTY_SCAN);
        if ((slab = stage_empty_list(&request)) != NULL)
            return served(&request, slab, HAK_STAGE_EMPTY_LIST);
    }
    if ((slab = stage_unused_slot(&request)) != NULL)
        return served(&request, slab, HAK_STAGE_UNUSED_SLOT);
    if ((slab = stage_new_superslab(&request)) != NULL)
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
    set_state(unit, HAK_SLOT_EMPTY, class);
    count_active(class, -1);
    count_empty(class, 1);
    list_slot(&pools[class].empty, unit);
}

void hak_pool_publish(struct hak_slab *slab, struct hak_block *block)
{
    unsigned class = slab->class;
    size_t unit = hak_slab_unit(slab);
    hak_slab_set_owner(slab, HAK_TAG_NOBODY);
    add(&pools[class].unowned, 1);
    set_state(unit, HAK_SLOT_PUBLISHED, class);
    hak_count_class(block, class, publishes, 1);
    hak_probe_publish(class, (uintptr_t)hak_superslab_of(slab));
    if (hak_knob(ss_adopt))
        list_slot(&pools[class].mailbox, unit);
}

struct hak_slab *hak_pool_adopt(unsigned class, uint32_t owner, struct hak_block *block)
{
    if (!hak_knob(ss_adopt))
        return NULL;
    size_t unit = pop_claimed(&pools[class].mailbox, HAK_SLOT_PUBLISHED);
    if (unit == HAK_NO_UNIT)
        return NULL;
    struct hak_slab *slab = hak_slab_of_unit(unit);
    add(&pools[class].unowned, -1);
    hak_slab_set_owner(slab, owner);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with slab/remote's announce() */
    hak_remote_take(slab);
    hak_count_class(block, class, adopts, 1);
    hak_probe_adopt(class, (uintptr_t)hak_superslab_of(slab));
    return slab;
}

/* ---- sizing ----------------------------------------------------------------- */

#define SMALL_LG 19
#define LARGE_LG 21
/* Half a small SuperSlab of slots in use is little; two of them full are much. Between, the
 * decision stands, so that a class at the border does not swing. */
#define FEW_SLOTS 4
#define MANY_SLOTS 16

void hak_pool_size_superslabs(void)
{
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        uint32_t active = hak_pool_active(class);
        if (active <= FEW_SLOTS)
            hak_store_relaxed(&pools[class].superslab_lg, SMALL_LG);
        else if (active >= MANY_SLOTS)
            hak_store_relaxed(&pools[class].superslab_lg, LARGE_LG);
    }
}

/* ---- purge ------------------------------------------------------------------ */

/* The caller has claimed the slot. The header's page stays. */
static size_t purge_slot(size_t unit)
{
    size_t kept = index_of(unit) == 0 ? HAK_PAGE_BYTES : 0;
    hak_os.advise(hak_unit_address(unit) + kept, HAK_UNIT_BYTES - kept, MADV_DONTNEED);
    hak_superslab_leave(hak_superslab_at(unit - index_of(unit)));
    set_state(unit, HAK_SLOT_UNUSED, 0);
    list_slot(&pool.unused, unit);
    return HAK_UNIT_BYTES - kept;
}

size_t hak_pool_purge(void)
{
    size_t bytes = 0;
    for (unsigned class = 0; class < hak_classes.tiny_count; class++) {
        struct class_pool *home = &pools[class];
        for (uint32_t idle = hak_load_relaxed(&home->empty_least); idle != 0; idle--) {
            size_t unit = pop_claimed(&home->empty, HAK_SLOT_EMPTY);
            if (unit == HAK_NO_UNIT)
                break;
            count_empty(class, -1);
            bytes += purge_slot(unit);
        }
        hak_store_relaxed(&home->empty_least, hak_load_relaxed(&home->empty_count));
    }
    return bytes;
}

static size_t withdraw_returned(const struct class_pool *home)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < hak_load_acquire(&home->registered); i++)
        bytes += hak_superslab_withdraw(hak_superslab_at(home->registry[i]));
    return bytes;
}

size_t hak_pool_reclaim(void)
{
    size_t bytes = 0, unit;
    for (unsigned class = 0; class < hak_classes.tiny_count; class++)
        while ((unit = pop_claimed(&pools[class].empty, HAK_SLOT_EMPTY)) != HAK_NO_UNIT) {
            count_empty(class, -1);
            purge_slot(unit);
        }
    for (unsigned class = 0; class < hak_classes.tiny_count; class++)
        bytes += withdraw_returned(&pools[class]);
    return bytes;
}

void hak_pool_fork_prepare(void)
{
    hak_lock_take(&pool.lock);
    hak_superslab_fork_prepare();
}

void hak_pool_fork_done(int in_child)
{
    hak_superslab_fork_done(in_child);
    if (in_child)
        hak_lock_reset(&pool.lock);
    else
        hak_lock_release(&pool.lock);
}
