/*
 * hakmem_abi.h - what libhakmem.so and its readers agree on.
 *
 * Plain structs and prototypes only: C includes these bytes (after <stdint.h>) and
 * Python's cffi hands the same bytes to cdef(). No include, no macro but plain
 * integers, no inline code.
 *
 * Two ways lead to the facts: a tool that has loaded the library calls the functions
 * below; a tool that watches a process reads its counters page, which carries the
 * same descriptor texts. Neither starts a thread, maps memory or fires a probe.
 *
 * Descriptor texts are tab-separated tables: the first line names the fields, each
 * further line is one record, in table order.
 */

#define HAK_ABI_VERSION 1
#define HAK_PAGE_NAME_BYTES 16

/* ---- the loaded library ------------------------------------------------- */

/* name env aliases type choices unit default min max scope count doc */
const char *hak_describe_knobs(void);
/* mode knob value (only what differs from the knob's default) */
const char *hak_describe_modes(void);
/* name shape unit kind doc: the layout of a counter block, see below */
const char *hak_describe_counters(void);
/* provider name args doc: args is a space-separated list, 8 bytes each */
const char *hak_describe_probes(void);
/* group name value text meaning: the numbers that probe arguments and counters use */
const char *hak_describe_codes(void);
const char *hak_version(void);

/* ---- the counters page -------------------------------------------------- */

/*
 * A memfd named "hakmem" (so /proc/PID/fd/N reads "/memfd:hakmem (deleted)" and the
 * mapping carries the same name), written by the process that it describes and read
 * by anybody who may read its /proc/PID/fd. Little endian, all offsets in bytes from
 * the start of the page.
 *
 * blocks: block 0 holds what belongs to the process: gauges, and the counters of
 * threads that have ended. Block i >= 1 holds one live thread's counters. A counter's
 * value is the sum over all blocks. `retire_seq` is odd while a thread's block is
 * being added to block 0: read it before and after, and read again if it changed.
 *
 * A block is `scalar_words` 64-bit words, one per SCALAR counter in table order,
 * then `class_capacity` records of `class_words` words each, whose fields are the
 * CLASS counters in table order. A counter of kind "pair" takes two words, and its
 * value is their sum modulo 2^64; every other takes one. A pair changes by one store of
 * its 16 aligned bytes: read them in one load.
 */
struct hak_page_header {
    char magic[8];              /* "HAKMEM" and two zero bytes, written last */
    uint32_t abi_version;       /* HAK_ABI_VERSION of the writer */
    uint32_t header_bytes;      /* sizeof(struct hak_page_header) of the writer */
    uint64_t page_bytes;        /* whole memfd; parts never touched read as zero */
    uint32_t pid;
    uint32_t forked_from;       /* pid of the parent whose counts were inherited, or 0 */
    uint64_t start_ns;          /* CLOCK_MONOTONIC when the page was made */
    char version[32];           /* library version, zero-terminated */

    uint64_t knobs_text_offset; /* the five descriptor texts, zero-terminated */
    uint64_t modes_text_offset;
    uint64_t counters_text_offset;
    uint64_t probes_text_offset;
    uint64_t codes_text_offset;

    uint64_t knob_values_offset; /* struct hak_knob_value[knob_value_count] */
    uint32_t knob_value_count;   /* one per knob, `count` for an indexed one */
    uint32_t class_capacity;     /* records in a block; class_count of them in use */
    uint64_t classes_offset;     /* struct hak_class_info[class_count] */
    uint32_t class_count;
    uint32_t tiny_class_count;   /* classes below this index are Tiny */

    uint64_t blocks_offset;
    uint32_t block_bytes;        /* distance between blocks */
    uint32_t block_capacity;     /* blocks that fit, block 0 included */
    uint32_t scalar_words;
    uint32_t class_words;

    uint64_t retire_seq;         /* odd while block 0 takes in an ended thread */
    uint32_t blocks_used;        /* blocks 0 .. blocks_used-1 may hold counts */
    uint32_t mode;               /* index into the modes of the codes text */
    uint64_t policy_version;     /* of the policy snapshot in force */
    uint64_t control_offset;     /* struct hak_control, or 0 when it cannot be written */

    uint64_t sites_offset;       /* struct hak_site[site_capacity], or 0: no table is kept */
    uint32_t site_capacity;
    uint32_t site_bytes;         /* sizeof(struct hak_site) of the writer */
    uint64_t sites_lost;         /* requests of sites that found the table full */
};

/* One effective knob value. `value` is an integer, 0/1, the index of the choice, or
 * the bits of a double, as the knob's type says. */
struct hak_knob_value {
    int64_t value;
    uint32_t source;             /* 0 default, 1 mode, 2 env, 3 live */
    uint32_t flags;              /* 1: the given value was refused and replaced; 2: the value
                                  * in force is the learner's (its source is live) */
};

struct hak_class_info {
    uint32_t size_bytes;         /* stride of a block */
    uint32_t tier;               /* 0 tiny, 1 mid, 2 large */
};

#define HAK_SITE_SIZES 24

/* What one call site has asked for. An unused record has site 0. */
struct hak_site {
    uint64_t site;               /* return address in the program */
    uint64_t count;              /* requests; what slow paths saw stands for what they did not */
    uint64_t bytes;              /* sum of their sizes */
    uint64_t freed_count;        /* of those that were tracked to their free */
    uint64_t freed_bytes;
    uint64_t tracked_count;      /* requests that are tracked: live is tracked - freed */
    uint64_t tracked_bytes;
    uint64_t max_bytes;
    uint32_t policy;             /* SITE_POLICY code, inferred from the rest */
    uint32_t flags;              /* 1: count and bytes are estimates */
    uint64_t sizes[HAK_SITE_SIZES]; /* requests by size: up to 16 bytes, 32, ... 32 KiB, below
                                     * 64 KiB, from 64 KiB, 128 KiB, ... 64 MiB */
};

/* A request by a tool of the same user to change a live knob. The tool holds an flock on the
 * page, writes all fields up to writer_pid but answered and status, then request = answered + 1.
 * The process takes it up on its next slow path (or in its learner's next window), and
 * answers by status, version and last answered = request. */
struct hak_control {
    uint64_t request;
    uint64_t answered;
    uint32_t knob_value_index;   /* with reset: HAK_CONTROL_ALL stands for every live knob */
    int32_t status;              /* 0 applied, else a negative errno */
    int64_t value;               /* as in hak_knob_value */
    uint32_t reset;              /* 1: back to what it was before the first change */
    uint32_t writer_pid;
    uint64_t version;            /* of the policy snapshot that the answer published */
};

#define HAK_CONTROL_ALL 4294967295

/* The page of this process (NULL before the first allocation, or without a page). */
const struct hak_page_header *hak_page(void);
