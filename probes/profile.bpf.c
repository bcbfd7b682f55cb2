/*
 * profile.bpf.c - who holds how much sampled memory, since when, and how was it served?
 *
 * Everything is added up here; nothing is streamed. Each sampled block is in `live` until its
 * free; one that finds a map full is in `seen` and in no sum, so that a free that cannot be
 * joined never makes blocks in use look like more than they are.
 */

#define HAK_HASH(name, key, leaf, most) \
    BPF_F_TABLE("hash", key, leaf, name, most, BPF_F_NO_PREALLOC)

HAK_HASH(stacks, u64, struct hak_stack, HAK_MOST_STACKS);
HAK_HASH(allocated, struct hak_cell_key, struct hak_sums, HAK_MOST_CELLS);
HAK_HASH(freed, struct hak_freed_key, struct hak_sums, HAK_MOST_CELLS);
HAK_HASH(live, u64, struct hak_live, HAK_MOST_LIVE);
HAK_HASH(causes, struct hak_cause_key, struct hak_cause, HAK_MOST_CELLS);
BPF_PERCPU_ARRAY(seen, u64, HAK_SEEN_KINDS);

/* A place for each thread to walk its stack into: a program on a uprobe can be preempted by
 * another one, so that a place for each CPU would be shared. */
BPF_TABLE("lru_hash", u32, struct hak_stack, walks, 4096);
BPF_ARRAY(no_walk, struct hak_stack, 1);

/* Blocks of 64 KiB and more by the parts of the address space that they lie in. */
#define HAK_PART_LOG2 16
#define HAK_WIDE_LOG2 21
#define HAK_MOST_PARTS 64
BPF_TABLE("lru_hash", u64, u64, parts, 32768);

/* Nobody listens while probes are put on or taken off one after the other: a block's free
 * would be missed, and it would stay in use for ever. */
BPF_ARRAY(listening, u32, 1);

HAK_INLINE int hak_listens(struct hak_hit *hit)
{
    int zero = 0;
    uint32_t *on = listening.lookup(&zero);
    return on && *on && hak_enter(hit);
}

HAK_INLINE void hak_see(int what)
{
    uint64_t *count = seen.lookup(&what);
    if (count)
        HAK_ADD(count, 1);
}

HAK_INLINE uint32_t hak_log2(uint64_t value)
{
    uint32_t bits = 0;
    if (value >> 32) {
        bits += 32;
        value >>= 32;
    }
    if (value >> 16) {
        bits += 16;
        value >>= 16;
    }
    if (value >> 8) {
        bits += 8;
        value >>= 8;
    }
    if (value >> 4) {
        bits += 4;
        value >>= 4;
    }
    if (value >> 2) {
        bits += 2;
        value >>= 2;
    }
    return bits + (value >> 1 != 0);
}

/* size_bucket() of model/profile_records.py: four to a doubling. */
HAK_INLINE uint32_t hak_bucket(uint64_t bytes)
{
    uint32_t power = hak_log2(bytes);
    if (bytes < 4)
        return bytes;
    return 4 * (power - 1) + (bytes >> (power - 2) & 3);
}

HAK_INLINE uint64_t hak_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return hash ^ hash >> 29;
}

/* The program's own code, and all of its libraries: told by those who read the maps. */
BPF_ARRAY(code, struct hak_code, 2);
BPF_TABLE("lru_hash", u32, struct hak_copy, copies, 256);
BPF_ARRAY(no_copy, struct hak_copy, 1);

/* Fewer frames than this behind the site: a caller keeps no frame pointer, more likely than not. */
#define HAK_FEW_FRAMES 3
#define HAK_PIECE_WORDS 64

/* Keeps a value as it is: without that, the compiler would put branches into the loops below,
 * and the verifier, which follows each way through a loop by itself, would give up. Counts and
 * sums are kept in memory for the same reason. */
#define HAK_OPAQUE(value) asm volatile("" : "+r"(value))

/* 1 if a number, below 2^63, is less than another. */
HAK_INLINE uint64_t hak_is_less(uint64_t one, uint64_t other)
{
    uint64_t less = (one - other) >> 63;
    HAK_OPAQUE(less);
    return less;
}

/* 1 if a word, whatever it is, lies in a part of the address space. */
HAK_INLINE uint64_t hak_lies_in(uint64_t word, uint64_t start, uint64_t bytes)
{
    uint64_t outside = ((word - start) | (start + bytes - 1 - word)) >> 63;
    HAK_OPAQUE(outside);
    return outside ^ 1;
}

/* Copies the top of a stack, as far as there is one. */
HAK_INLINE void hak_copy_stack(struct hak_copy *copy, uint64_t sp)
{
    copy->bytes = 0;
    copy->goes_on = 1;
    for (int i = 0; i < HAK_COPY_WORDS / HAK_PIECE_WORDS; i++) {
        void *piece = (void *)(sp + i * HAK_PIECE_WORDS * 8);
        long error = bpf_probe_read_user(&copy->words[i * HAK_PIECE_WORDS],
                                         HAK_PIECE_WORDS * 8, piece);
        HAK_OPAQUE(error);
        copy->goes_on &= ((uint64_t)error >> 63) ^ 1;
        copy->bytes += copy->goes_on * HAK_PIECE_WORDS * 8;
    }
}

/* Keeps the words of a stack that its frames can be found by; returns the hash of those that may
 * be return addresses, 0 without any. The copy ends where the stack does, or is long enough. */
HAK_INLINE uint64_t hak_keep_words(struct pt_regs *regs, uint32_t tid, struct hak_stack *walk)
{
    int zero = 0, one = 1;
    uint64_t sp = regs->sp;
    struct hak_code *program = code.lookup(&zero), *libraries = code.lookup(&one);
    struct hak_copy *copy, *empty = no_copy.lookup(&zero);
    if (!program || !libraries || !empty || libraries->bytes == 0)
        return 0;
    copy = copies.lookup_or_try_init(&tid, empty);
    if (!copy)
        return 0;
    hak_see(HAK_SEEN_COPIES);
    hak_copy_stack(copy, sp);
    walk->ip = regs->ip;
    walk->sp = sp;
    walk->bp = regs->bp;
    walk->stack_bytes = 0;
    walk->words = 0;
    copy->hash = 0;
    for (uint32_t i = 0; i < HAK_COPY_WORDS; i++) {
        uint64_t word = copy->words[i], hash = copy->hash, count = walk->words;
        uint64_t is_code = hak_lies_in(word, program->start, program->bytes) |
                           hak_lies_in(word, libraries->start, libraries->bytes);
        uint64_t is_kept = is_code | hak_lies_in(word, sp, HAK_COPY_WORDS * 8);
        is_kept &= hak_is_less(i * 8, copy->bytes) & hak_is_less(count, HAK_STACK_FRAMES - 1);
        walk->frames[count & (HAK_STACK_FRAMES - 1)] = word;
        walk->at[count & (HAK_STACK_FRAMES - 1)] = i * 8;
        walk->words = count + is_kept;
        is_code = -(is_code & is_kept);
        HAK_OPAQUE(is_code);
        copy->hash = hash ^ ((hak_mix(hash + i, word) ^ hash) & is_code);
    }
    return copy->hash;
}

/* Walks the user stack and keeps it, once for all that are equal from the site on. `regs` are
 * the program's where it stands at a probe. Returns its key; 0: there was no room. */
HAK_INLINE uint64_t hak_keep_stack(void *ctx, struct pt_regs *regs, uint32_t tid, uint64_t site)
{
    int zero = 0;
    uint64_t words = 0, key;
    struct hak_stack *walk, *empty = no_walk.lookup(&zero);
    if (!empty)
        return 0;
    walk = walks.lookup_or_try_init(&tid, empty);
    if (!walk)
        goto lost;
    walk->site = site;
    walk->words = 0;
    walk->whole = 0x51ed270b7a4f1c33ULL;
    walk->from_site = 0;
    walk->stack_bytes = bpf_get_stack(ctx, walk->frames, sizeof walk->frames, BPF_F_USER_STACK);
    for (int i = 0; i < HAK_STACK_FRAMES; i++) {
        if (i * 8 >= walk->stack_bytes)
            break;
        uint64_t frame = walk->frames[i];
        walk->whole = hak_mix(walk->whole, frame);
        if (walk->from_site)
            walk->from_site = hak_mix(walk->from_site, frame);
        else if (frame == site)
            walk->from_site = hak_mix(0x2545f4914f6cdd1dULL, frame);
        if (walk->from_site || site == 0)
            walk->words++;
    }
    if (regs && walk->words <= HAK_FEW_FRAMES)
        words = hak_keep_words(regs, tid, walk);
    else
        walk->words = 0;
    if (!words)
        words = walk->from_site ? walk->from_site : walk->whole;
    key = hak_mix(words, site) | 1;
    if (stacks.lookup(&key) || stacks.insert(&key, walk) == 0 || stacks.lookup(&key))
        return key;
lost:
    hak_see(HAK_LOST_STACKS);
    return 0;
}

HAK_INLINE void hak_sum(struct hak_sums *sums, uint64_t bytes, uint64_t weight)
{
    HAK_ADD(&sums->samples, 1);
    HAK_ADD(&sums->bytes, bytes);
    HAK_ADD(&sums->weight_bytes, weight);
}

HAK_INLINE void hak_remove_block(uint64_t address, struct hak_live *block)
{
    struct hak_freed_key key = {};
    struct hak_sums none = {}, *sums;
    key.cell = block->key;
    key.age = hak_log2(bpf_ktime_get_ns() - block->time_ns);
    sums = freed.lookup_or_try_init(&key, &none);
    if (sums)
        hak_sum(sums, block->bytes, block->weight_bytes);
    else
        hak_see(HAK_LOST_FREED);
    live.delete(&address);
}

/* Says which parts of the address space a large block lies in. */
HAK_INLINE void hak_note_parts(uint64_t address, uint64_t bytes)
{
    uint32_t shift = bytes > (uint64_t)HAK_MOST_PARTS << HAK_PART_LOG2 ? HAK_WIDE_LOG2
                                                                       : HAK_PART_LOG2;
    uint64_t tag = (uint64_t)shift << 56;
    if (bytes >> HAK_PART_LOG2 == 0)
        return;
    for (int i = 0; i < HAK_MOST_PARTS; i++) {
        uint64_t part = (address >> shift) + i;
        if (part << shift >= address + bytes)
            break;
        part |= tag;
        parts.update(&part, &address);
    }
}

/* The sampled block in use that holds an address, if it is a large one. */
HAK_INLINE struct hak_live *hak_block_of(uint64_t address)
{
    uint64_t part = address >> HAK_PART_LOG2 | (uint64_t)HAK_PART_LOG2 << 56;
    uint64_t wide = address >> HAK_WIDE_LOG2 | (uint64_t)HAK_WIDE_LOG2 << 56;
    uint64_t *start = parts.lookup(&part);
    if (!start)
        start = parts.lookup(&wide);
    if (!start)
        return NULL;
    uint64_t at = *start;
    struct hak_live *block = live.lookup(&at);
    return block && address - at < block->bytes ? block : NULL;
}

/* A sampled block is allocated. */
HAK_INLINE void hak_count_block(struct hak_cell_key *key, uint64_t address, uint64_t bytes,
                                uint64_t weight)
{
    struct hak_live block = {}, *before = live.lookup(&address);
    struct hak_sums none = {}, *sums;
    hak_see(HAK_SEEN_SAMPLES);
    if (before) {
        hak_see(HAK_SEEN_REUSED);
        hak_remove_block(address, before);
    }
    key->bucket = hak_bucket(bytes);
    sums = allocated.lookup_or_try_init(key, &none);
    if (!sums) {
        hak_see(HAK_LOST_CELLS);
        return;
    }
    block.key = *key;
    block.time_ns = bpf_ktime_get_ns();
    block.bytes = bytes;
    block.weight_bytes = weight;
    if (live.update(&address, &block) != 0) {
        hak_see(HAK_LOST_LIVE);
        return;
    }
    hak_sum(sums, bytes, weight);
    hak_note_parts(address, bytes);
}

/* A block is freed: one that was sampled, or any. */
HAK_INLINE void hak_count_free(uint64_t address, int was_sampled)
{
    struct hak_live *block = live.lookup(&address);
    hak_see(HAK_SEEN_FREES);
    if (block)
        hak_remove_block(address, block);
    else if (was_sampled)
        hak_see(HAK_SEEN_OLDER);
}

HAK_INLINE void hak_count_cause(struct hak_cause_key *key, uint64_t times, uint64_t bytes,
                                uint64_t duration_ns)
{
    struct hak_cause none = {}, *sums = causes.lookup_or_try_init(key, &none);
    if (!sums) {
        hak_see(HAK_LOST_CAUSES);
        return;
    }
    HAK_ADD(&sums->count, times);
    HAK_ADD(&sums->bytes, bytes);
    HAK_ADD(&sums->duration_ns, duration_ns);
}
