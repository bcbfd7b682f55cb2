/*
 * classes.bpf.c - how often was each probe hit, by size class and by code?
 *
 * The code is the probe's argument that has names: the stage of stage_hit, the reason
 * of shared_fail, the source of refill.
 */

BPF_PERCPU_HASH(classes, struct hak_class_key, u64, 8192);
BPF_PERCPU_ARRAY(classes_lost, u64, HAK_KINDS); /* hits that found the map full */

HAK_INLINE void hak_count_class(uint32_t kind, uint64_t size_class, uint64_t code)
{
    struct hak_class_key key = {.kind = kind, .size_class = size_class, .code = code};
    uint64_t zero = 0;
    int index = kind;
    uint64_t *count = classes.lookup_or_try_init(&key, &zero);
    if (!count)
        count = classes_lost.lookup(&index);
    if (count)
        HAK_ADD(count, 1);
}
