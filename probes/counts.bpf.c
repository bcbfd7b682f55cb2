/*
 * counts.bpf.c - how often was each probe hit?
 *
 * Part of every program: what is lost on another way is still counted here, so that
 * counts are exact. The array has a place for each probe and cannot be full.
 */

BPF_PERCPU_ARRAY(hits, u64, HAK_KINDS);

HAK_INLINE void hak_count_kind(uint32_t kind)
{
    int index = kind;
    uint64_t *count = hits.lookup(&index);
    if (count)
        HAK_ADD(count, 1);
}
