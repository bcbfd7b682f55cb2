/*
 * common.bpf.h - what every question needs: whose hit this is, and exact counting.
 *
 * bcc's C. The generator puts its own #defines and events.h before this text, then the
 * questions (*.bpf.c), then one function per distinct probe and argument spec.
 */

#define HAK_INLINE static inline __attribute__((always_inline))
#define HAK_NONE (~(uint32_t)0)

/* Per-CPU values too are added to atomically: a program on a uprobe can be preempted
 * between load and store by another one on the same CPU. */
#define HAK_ADD(pointer, n) __sync_fetch_and_add(pointer, n)

struct hak_hit {
    uint32_t pid;
    uint32_t tid;
    uint64_t args[HAK_EVENT_ARGS];
};

/* The ids of the current thread as the tool sees them; 0 for one outside of its namespace. */
HAK_INLINE int hak_ids(uint32_t *pid, uint32_t *tid)
{
#ifdef HAK_PIDNS_INODE
    struct bpf_pidns_info ids = {};
    if (bpf_get_ns_current_pid_tgid(HAK_PIDNS_DEVICE, HAK_PIDNS_INODE, &ids, sizeof ids) != 0)
        return 0;
    *pid = ids.tgid;
    *tid = ids.pid;
#else
    uint64_t both = bpf_get_current_pid_tgid();
    *pid = both >> 32;
    *tid = (uint32_t)both;
#endif
    return 1;
}
