/*
 * follow.bpf.c - does this thread belong to what is watched?
 *
 * One process (HAK_TARGET_PID), or with HAK_CHILDREN a set of processes and all that
 * they fork: `followed_pids` holds the processes that the tool names, `followed_tasks`
 * the kernel's addresses of all tasks forked from a followed one since then. The
 * address is a key, never read through; it goes when its task ends.
 */

#ifdef HAK_CHILDREN
BPF_HASH(followed_pids, u32, u32, 4096);
BPF_HASH(followed_tasks, u64, u32, 65536);
BPF_ARRAY(follow_lost, u64, 1); /* tasks that found no place: their hits are not counted */

HAK_INLINE int hak_is_followed(uint32_t pid)
{
    uint64_t task = bpf_get_current_task();
    return followed_pids.lookup(&pid) != NULL || followed_tasks.lookup(&task) != NULL;
}

/* sched_process_fork(parent, child): runs in the parent, before the child does. */
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    uint32_t pid = 0, tid = 0, one = 1;
    uint64_t child = ctx->args[1];
    int zero = 0;
    hak_ids(&pid, &tid);
    if (!hak_is_followed(pid))
        return 0;
    if (followed_tasks.update(&child, &one) != 0) {
        uint64_t *lost = follow_lost.lookup(&zero);
        if (lost)
            HAK_ADD(lost, 1);
    }
    return 0;
}

/* sched_process_exit(task): the address may be another task's from now on. */
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    uint64_t task = bpf_get_current_task();
    followed_tasks.delete(&task);
    return 0;
}
#else
HAK_INLINE int hak_is_followed(uint32_t pid)
{
    return pid == HAK_TARGET_PID;
}
#endif

/* The first thing that each probe's function does. */
HAK_INLINE int hak_enter(struct hak_hit *hit)
{
    return hak_ids(&hit->pid, &hit->tid) && hak_is_followed(hit->pid);
}
