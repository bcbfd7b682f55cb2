// producer_consumer: every block is freed by another thread than the one that allocated it.
//
// Half of the threads produce: they allocate blocks of 16..1040 bytes (sizes uniform) and pass them
// round to the consumers in turn, through one bounded single-producer single-consumer ring for each
// pair. The other half check and free them. Indices are published in batches of 256: with small
// batches the cache lines of the rings cost more than malloc does, and no allocator could be told
// from another. A side that finds nothing to do yields. Two threads are 1:1, four
// are 2:2, where a producer's blocks come back from two sides. An operation is one block.
#include "workload.h"
#include <sched.h>

enum { RING_SLOTS = 4096, BATCH = 256, MOST_SIDES = 8 };

struct message {
    unsigned char *block;
    size_t size;
};

// `written` belongs to the producer, `taken` to the consumer; each reads the other's.
struct ring {
    _Alignas(WORKLOAD_LINE) _Atomic uint64_t written;
    _Alignas(WORKLOAD_LINE) _Atomic uint64_t taken;
    _Alignas(WORKLOAD_LINE) struct message messages[RING_SLOTS];
};

static struct ring *rings; // [producer * sides + consumer]
static uint64_t least = 16, most = 1040, blocks = 6000000;
static unsigned sides;

// Fills one batch of free places; waits until the consumer has left room for it.
static void produce_batch(struct ring *ring, struct workload_random *random, uint64_t count)
{
    uint64_t at = atomic_load_explicit(&ring->written, memory_order_relaxed);
    while (at + count - atomic_load_explicit(&ring->taken, memory_order_acquire) > RING_SLOTS)
        sched_yield();
    for (uint64_t i = 0; i < count; i++) {
        struct message *message = &ring->messages[(at + i) % RING_SLOTS];
        message->size = workload_between(random, least, most);
        message->block = workload_allocate(message->size, (unsigned)(at + i));
    }
    atomic_store_explicit(&ring->written, at + count, memory_order_release);
}

static uint64_t produce(unsigned producer)
{
    struct workload_random random = workload_seed(producer);
    unsigned consumer = 0;
    for (uint64_t made = 0; made < blocks;) {
        uint64_t count = blocks - made < BATCH ? blocks - made : BATCH;
        produce_batch(&rings[producer * sides + consumer], &random, count);
        consumer = (consumer + 1) % sides;
        made += count;
    }
    return 0;
}

// Frees all that is there, a batch at the most; says how many.
static uint64_t consume_batch(struct ring *ring, uint64_t *checksum)
{
    uint64_t at = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&ring->written, memory_order_acquire) - at;
    if (count > BATCH)
        count = BATCH;
    for (uint64_t i = 0; i < count; i++) {
        struct message *message = &ring->messages[(at + i) % RING_SLOTS];
        *checksum += workload_release(message->block, message->size);
    }
    if (count)
        atomic_store_explicit(&ring->taken, at + count, memory_order_release);
    return count;
}

// How many blocks one producer sends to this consumer, whose turn comes every `sides` batches.
static uint64_t share(unsigned consumer)
{
    uint64_t total = 0, batch = 0;
    for (uint64_t made = 0; made < blocks; batch++) {
        uint64_t count = blocks - made < BATCH ? blocks - made : BATCH;
        if (batch % sides == consumer)
            total += count;
        made += count;
    }
    return total;
}

static uint64_t consume(unsigned consumer)
{
    uint64_t checksum = 0, left = share(consumer) * sides;
    while (left) {
        uint64_t got = 0;
        for (unsigned producer = 0; producer < sides; producer++)
            got += consume_batch(&rings[producer * sides + consumer], &checksum);
        if (!got)
            sched_yield();
        left -= got;
    }
    return checksum;
}

static uint64_t body(unsigned thread)
{
    return thread % 2 ? consume(thread / 2) : produce(thread / 2);
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"least", &least, 2, 1 << 30, "smallest block in bytes"},
        {"most", &most, 2, 1 << 30, "largest block in bytes"},
        {"blocks", &blocks, 1, UINT64_C(1) << 40, "blocks of each producer"},
    };
    struct workload w = {.name = "producer_consumer",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 2,
                         .most_threads = 2 * MOST_SIDES,
                         .thread_step = 2};
    workload_parse(&w, argc, argv);
    if (least > most)
        workload_fail(2, "--least must not be above --most", NULL);
    sides = (unsigned)w.threads / 2;
    rings = workload_map(sizeof(struct ring) * sides * sides);
    return workload_report(&w, blocks * sides, workload_run(body, (unsigned)w.threads));
}
