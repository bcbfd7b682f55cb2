/*
 * profile.h - the records of a call-site profile that BPF programs keep and Python reads.
 *
 * Plain structs of 2-, 4- and 8-byte fields without gaps: clang compiles these bytes into the
 * programs, and cffi reads the same bytes in Python. The generator sets HAK_STACK_FRAMES,
 * the deepest stack that is kept (a power of two), and HAK_COPY_WORDS before this text.
 */

/* What sampled blocks are counted by. A number that is not known is ~0. */
struct hak_cell_key {
    uint64_t stack;      /* key of `stacks`; 0: the stack was lost */
    uint32_t tid;        /* that allocated */
    uint32_t size_class;
    uint32_t path;       /* PATH code: what served the block */
    uint32_t bucket;     /* of the bytes asked for, four to a doubling */
};

/* The same, and how long a freed block had lived: floor(log2(nanoseconds)). */
struct hak_freed_key {
    struct hak_cell_key cell;
    uint32_t age;
    uint32_t unused;
};

/* Sums over sampled blocks. `weight_bytes` estimates what all blocks like them hold. */
struct hak_sums {
    uint64_t samples;
    uint64_t bytes;
    uint64_t weight_bytes;
};

/* A sampled block in use. */
struct hak_live {
    struct hak_cell_key key;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t bytes;
    uint64_t weight_bytes;
};

/* A user stack as the kernel walked it, innermost first; `site` is the return address in the
 * program that the allocator told, 0 if it told none. Where the walk broke off soon, `words` of
 * the stack itself are in `frames` instead: addresses of code and of the stack, and `at`, how
 * far above `sp` each one lies. */
struct hak_stack {
    uint64_t site;
    int32_t stack_bytes; /* of `frames`; negative: an errno */
    uint32_t words;
    uint64_t ip, sp, bp;
    uint64_t whole, from_site; /* hashes of all frames, and of those from the site on */
    uint64_t frames[HAK_STACK_FRAMES];
    uint16_t at[HAK_STACK_FRAMES];
};

/* A part of the address space that holds code. */
struct hak_code {
    uint64_t start;
    uint64_t bytes;
};

/* The top of a stack. */
struct hak_copy {
    uint64_t bytes;
    uint64_t goes_on;
    uint64_t hash; /* of the words that may be return addresses */
    uint64_t words[HAK_COPY_WORDS];
};

/* What a stack made the kernel do. */
struct hak_cause_key {
    uint64_t stack;
    uint32_t tid;
    uint32_t cause;
    uint32_t size_class; /* of the block that was touched; ~0 where that is not known */
    uint32_t unused;
};

struct hak_cause {
    uint64_t count;
    uint64_t bytes;
    uint64_t duration_ns;
};

/* Places of `seen`, a count for each. The first ones are samples that are in no row. */
enum hak_seen {
    HAK_LOST_CELLS,   /* no room to count the block */
    HAK_LOST_LIVE,    /* no room among the blocks in use */
    HAK_LOST_FREED,   /* no room to count its free */
    HAK_LOST_CAUSES,  /* no room to count what a stack caused */
    HAK_LOST_STACKS,  /* no room for the stack: counted, without one */
    HAK_SEEN_SAMPLES, /* hits of the probe that tells of a sampled block */
    HAK_SEEN_FREES,   /* hits of the probe that tells of a free */
    HAK_SEEN_OLDER,   /* freed, and allocated before anybody looked */
    HAK_SEEN_REUSED,  /* allocated anew at an address that nobody was seen to free */
    HAK_SEEN_CALLS,   /* hits at the entries of an allocator without probes */
    HAK_SEEN_FAULTS,  /* page faults, each one */
    HAK_SEEN_OTHERS,  /* hits that tell of something else */
    HAK_SEEN_COPIES,  /* stacks that were looked through word by word */
    HAK_SEEN_KINDS
};
