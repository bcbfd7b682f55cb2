/*
 * events.h - the records that BPF programs write and Python reads.
 *
 * Plain structs only: clang compiles these bytes into the programs, and cffi reads the
 * same bytes in Python, so that a layout is written down once. Two sizes are set by
 * the generator before this text: HAK_EVENT_ARGS, the widest probe of the library's
 * probe table, and HAK_EVENT_FRAMES, the deepest stack that is kept.
 */

/* One hit of a probe. */
struct hak_event {
    uint64_t time_ns;     /* CLOCK_MONOTONIC */
    uint32_t pid;         /* as the reading tool's pid namespace numbers it */
    uint32_t tid;
    uint32_t kind;        /* index of the probe in the library's probe table */
    int32_t stack_bytes;  /* of `frames` below; negative: an errno, the stack is lost */
    uint64_t caller;      /* return address at a site that opens its function; else 0 */
    char comm[16];
    uint64_t args[HAK_EVENT_ARGS];
};

/* The same with the user stack, innermost first; written when stacks are asked for. */
struct hak_stack_event {
    struct hak_event event;
    uint64_t frames[HAK_EVENT_FRAMES];
};

/* What hits are counted by. A probe without a class, or without a code, has ~0 there. */
struct hak_class_key {
    uint32_t kind;
    uint32_t size_class;
    uint32_t code;
};
