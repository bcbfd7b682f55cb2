/*
 * any.bpf.c - the samples of an allocator that tells of none, drawn at the entries of malloc
 * and its kin.
 *
 * A Poisson process over the bytes that each thread asks for, with mean HAK_SAMPLE_BYTES: bytes
 * are taken off `left` until the next point, which lies in the block that is sampled. The block's
 * address is known at the return, which only a sampled call stops at (a session link), or every
 * call where the kernel has no such links.
 */

struct hak_caller {
    int64_t left; /* bytes to the next point */
    uint64_t bytes;
    uint64_t weight;
    uint64_t stack;
    uint64_t out;     /* where the function stores its result; 0: it returns it */
    uint64_t pending; /* a sampled call has not returned yet */
};
BPF_TABLE("lru_hash", u32, struct hak_caller, callers, 16384);

/* Quantiles of the distance of two points, in bytes, and the weight of a block by its size in
 * sixteenths of the mean: both filled in before anything is attached. */
#define HAK_GAPS 4096
#define HAK_WEIGHTS 256
BPF_ARRAY(gaps, u64, HAK_GAPS);
BPF_ARRAY(weights, u64, HAK_WEIGHTS + 1);

/* Code of the allocator's own functions: calls from there are part of another call. */
#define HAK_RANGES 16
struct hak_range {
    uint64_t start;
    uint64_t end;
};
BPF_ARRAY(own_code, struct hak_range, HAK_RANGES);

/* Exponential, by its quantiles, evenly within one; the last one has no end: from there on the
 * process begins anew, since it has no memory. */
HAK_INLINE int64_t hak_draw_gap(void)
{
    uint64_t sum = 0;
    for (int turn = 0; turn < 4; turn++) {
        uint64_t chance = ((uint64_t)bpf_get_prandom_u32() << 32) | bpf_get_prandom_u32();
        int place = chance & (HAK_GAPS - 1), next = place + 1;
        uint64_t *low = gaps.lookup(&place), *high = gaps.lookup(&next);
        if (!low)
            break;
        sum += *low;
        if (high) {
            sum += (*high - *low) * (chance >> 40) >> 24;
            break;
        }
    }
    return sum + 1;
}

HAK_INLINE uint64_t hak_weight_of(uint64_t bytes)
{
    uint64_t place = bytes < HAK_SAMPLE_BYTES * 16 ? (bytes << 12) / HAK_SAMPLE_BYTES : ~0ULL;
    int index = place >> 8, next = index + 1;
    if (place >= HAK_WEIGHTS << 8)
        return bytes;
    uint64_t *low = weights.lookup(&index), *high = weights.lookup(&next);
    if (!low || !high)
        return bytes;
    uint64_t weight = *low + ((*high - *low) * (place & 255) >> 8);
    return weight < bytes ? bytes : weight;
}

HAK_INLINE int hak_is_own_code(uint64_t address)
{
    for (int i = 0; i < HAK_RANGES; i++) {
        int index = i;
        struct hak_range *range = own_code.lookup(&index);
        if (!range || range->end == 0)
            break;
        if (address >= range->start && address < range->end)
            return 1;
    }
    return 0;
}

/* What a call asks for; `out` is where the function stores its result, 0: it returns it. */
struct hak_ask {
    uint64_t bytes;
    uint64_t out;
};

/* Returns 1 unless the call's return is of interest. */
HAK_INLINE int hak_any_call(struct pt_regs *ctx, uint32_t tid, const struct hak_ask *ask)
{
    uint64_t site = 0, bytes = ask->bytes;
    struct hak_caller *caller = callers.lookup(&tid);
    hak_see(HAK_SEEN_CALLS);
    if (!caller) {
        struct hak_caller fresh = {};
        fresh.left = hak_draw_gap();
        callers.update(&tid, &fresh);
        caller = callers.lookup(&tid);
        if (!caller)
            return 1;
    }
    if (bytes > 1ULL << 47) /* it will fail */
        return 1;
    caller->left -= bytes;
    if (caller->left > 0)
        return 1;
    caller->left = hak_draw_gap();
    bpf_probe_read_user(&site, sizeof site, (void *)ctx->sp);
    if (hak_is_own_code(site))
        return 1;
    caller->bytes = bytes;
    caller->weight = hak_weight_of(bytes);
    caller->stack = hak_keep_stack(ctx, ctx, tid, site);
    caller->out = ask->out;
    caller->pending = 1;
    return 0;
}

HAK_INLINE int hak_any_return(struct pt_regs *ctx, uint32_t tid)
{
    struct hak_caller *caller = callers.lookup(&tid);
    if (!caller || !caller->pending)
        return 0;
    caller->pending = 0;
    uint64_t address = ctx->ax;
    if (caller->out) {
        if ((uint32_t)address != 0)
            return 0;
        bpf_probe_read_user(&address, sizeof address, (void *)caller->out);
    }
    if (!address)
        return 0;
    struct hak_cell_key key = {.stack = caller->stack, .tid = tid};
    key.size_class = HAK_NONE;
    key.path = HAK_NONE;
    hak_count_block(&key, address, caller->bytes, caller->weight);
    return 0;
}

/* One for each kind of function: 1 if it asks for memory, and then for how much. */

HAK_INLINE int hak_asks(struct hak_ask *ask, uint64_t bytes, uint64_t out)
{
    ask->bytes = bytes;
    ask->out = out;
    return 1;
}

HAK_INLINE int hak_asks_calloc(struct hak_ask *ask, uint64_t count, uint64_t size)
{
    if (count >> 32 || size >> 32)
        return 0; /* 4 GiB of either: it may overflow */
    return hak_asks(ask, count * size, 0);
}

HAK_INLINE int hak_asks_realloc(struct hak_ask *ask, uint64_t before, uint64_t bytes)
{
    if (before)
        hak_count_free(before, 0);
    return hak_asks(ask, bytes, 0);
}

HAK_INLINE int hak_frees(uint64_t address)
{
    if (address)
        hak_count_free(address, 0);
    return 0;
}

/* In a session, one program runs at the entry and, if it returned 0 there, at the return. */
#ifdef HAK_SESSION
#define HAK_AT_RETURN(ctx) (bpf_get_func_ip(ctx) != (ctx)->ip)
#else
#define HAK_AT_RETURN(ctx) 0
int on_any_return(struct pt_regs *ctx)
{
    struct hak_hit hit = {};
    return hak_listens(&hit) ? hak_any_return(ctx, hit.tid) : 0;
}
#endif
