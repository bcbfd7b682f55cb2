// realloc, realloc_large: buffers that grow as strings and vectors do.
//
// A table of buffers. A step picks one at random and makes it larger, by between nothing and half
// of what it has; the new bytes are written, one in each page and the last. A buffer that would
// pass the limit is freed and starts again with 16 bytes. First and last byte are checked over
// every move. An operation is one step.
//
// | preset | buffers | limit |
// |---|---|---|
// | realloc | 256 | 64 KiB |
// | realloc_large | 4 | 16 MiB |
#include "workload.h"

enum { FIRST_SIZE = 16 };

struct buffer {
    unsigned char *bytes;
    size_t size;
};

static uint64_t buffers, limit, steps;
static struct buffer *table;

static void use_small(void)
{
    buffers = 256;
    limit = 64 << 10;
    steps = 4000000;
}

static void use_large(void)
{
    buffers = 4;
    limit = 16 << 20;
    steps = 15000;
}

static void grow(struct buffer *buffer, size_t size, unsigned tag)
{
    uint64_t before = buffer->bytes ? workload_read(buffer->bytes, buffer->size) : 0;
    unsigned char *bytes = realloc(buffer->bytes, size);
    if (!bytes)
        workload_fail(1, "realloc returned NULL", NULL);
    if (buffer->bytes && workload_read(bytes, buffer->size) != before)
        workload_fail(1, "realloc lost what the block held", NULL);
    if (!buffer->bytes)
        bytes[0] = (unsigned char)tag;
    for (size_t at = buffer->size + WORKLOAD_PAGE; at + 1 < size; at += WORKLOAD_PAGE)
        bytes[at] = (unsigned char)tag;
    bytes[size - 1] = (unsigned char)(tag >> 8);
    *buffer = (struct buffer){bytes, size};
}

static uint64_t body(unsigned thread)
{
    struct workload_random random = workload_seed(thread);
    uint64_t checksum = 0;
    for (uint64_t step = 0; step < steps; step++) {
        struct buffer *buffer = &table[workload_below(&random, buffers)];
        size_t size = buffer->size + workload_between(&random, 1, buffer->size / 2 + FIRST_SIZE);
        if (size > limit) {
            checksum += workload_release(buffer->bytes, buffer->size);
            *buffer = (struct buffer){NULL, 0};
            size = FIRST_SIZE;
        }
        grow(buffer, size, (unsigned)step);
    }
    for (uint64_t i = 0; i < buffers; i++)
        if (table[i].bytes)
            checksum += workload_release(table[i].bytes, table[i].size);
    return checksum;
}

int main(int argc, char **argv)
{
    const struct workload_preset presets[] = {{"realloc", use_small}, {"realloc_large", use_large}};
    const struct workload_flag flags[] = {
        {"buffers", &buffers, 1, 1 << 20, "buffers that grow side by side"},
        {"limit", &limit, 64, 1 << 30, "bytes a buffer may reach"},
        {"steps", &steps, 1, UINT64_C(1) << 40, "calls of realloc"},
    };
    struct workload w = {.flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .presets = presets,
                         .preset_count = WORKLOAD_COUNT(presets),
                         .threads = 1,
                         .most_threads = 1};
    workload_parse(&w, argc, argv);
    table = workload_map(buffers * sizeof(struct buffer));
    return workload_report(&w, steps, workload_run(body, 1));
}
