/*
 * faults.bpf.c - which call site's memory do page faults go to?
 *
 * A fault inside a sampled block of 64 KiB or more belongs to the site that allocated it;
 * any other one to the code that touched the page. Each fault is counted; a stack is walked
 * for one in `fault_period`, drawn at random, and then stands for as many.
 */

BPF_ARRAY(fault_period, u32, 1);

/* page_fault_user(address, registers, error code) */
int on_fault(struct bpf_raw_tracepoint_args *ctx)
{
    struct hak_hit hit = {};
    struct hak_cause_key key = {.cause = HAK_CAUSE_FAULT, .size_class = HAK_NONE};
    int zero = 0;
    uint32_t *period = fault_period.lookup(&zero), times = period && *period ? *period : 1;
    if (!hak_listens(&hit))
        return 0;
    hak_see(HAK_SEEN_FAULTS);
    if (times > 1 && bpf_get_prandom_u32() % times != 0)
        return 0;
    struct hak_live *block = hak_block_of(ctx->args[0]);
    key.tid = hit.tid;
    if (block) {
        key.stack = block->key.stack;
        key.size_class = block->key.size_class;
    } else {
        key.stack = hak_keep_stack(ctx, NULL, hit.tid, 0);
    }
    hak_count_cause(&key, times, (uint64_t)times * HAK_PAGE_BYTES, 0);
    return 0;
}
