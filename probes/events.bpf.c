/*
 * events.bpf.c - what exactly happened at this hit, where, and in which thread?
 *
 * For kinds that are rare, or that somebody has asked for by name. The reader is never
 * woken (that costs the target more than the event); it polls. Without room in the
 * ring the event is counted as lost.
 */

BPF_RINGBUF_OUTPUT(events, HAK_RING_PAGES);
BPF_PERCPU_ARRAY(events_lost, u64, HAK_KINDS);

#ifdef HAK_STACKS
#define HAK_RECORD struct hak_stack_event
#define HAK_EVENT_OF(record) (&(record)->event)
#else
#define HAK_RECORD struct hak_event
#define HAK_EVENT_OF(record) (record)
#endif

HAK_INLINE void hak_lose(uint32_t kind)
{
    int index = kind;
    uint64_t *count = events_lost.lookup(&index);
    if (count)
        HAK_ADD(count, 1);
}

/* `opens`: the site is its function's first instruction, so that the return address
 * is on top of the stack, and no frame pointer leads to it. */
HAK_INLINE void hak_emit(struct pt_regs *ctx, uint32_t kind, struct hak_hit *hit, int opens)
{
    HAK_RECORD *record = events.ringbuf_reserve(sizeof(HAK_RECORD));
    if (!record) {
        hak_lose(kind);
        return;
    }
    struct hak_event *event = HAK_EVENT_OF(record);
    event->time_ns = bpf_ktime_get_ns();
    event->pid = hit->pid;
    event->tid = hit->tid;
    event->kind = kind;
    event->stack_bytes = 0;
    event->caller = 0;
    bpf_get_current_comm(event->comm, sizeof event->comm);
    __builtin_memcpy(event->args, hit->args, sizeof event->args);
#ifdef HAK_STACKS
    if (opens)
        bpf_probe_read_user(&event->caller, sizeof event->caller, (void *)ctx->sp);
    event->stack_bytes =
        bpf_get_stack(ctx, record->frames, sizeof record->frames, BPF_F_USER_STACK);
#endif
    events.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
