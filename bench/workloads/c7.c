// c7: the exhaustion of the largest Tiny class, in waves of threads that come and go.
//
// 8192 slots are shared out among the threads of a wave. Each fills its share with blocks of
// 16..1040 bytes (uniform); when all have, it frees its share and ends, except for `--remote` per
// cent, which the next thread of the wave frees. Then the next wave begins with nothing live. In
// the pow2 geometry every size above 512 is class 7, about half of the live blocks: an allocator
// that does not get a class's empty slabs back from threads that ended runs out of that class under
// a cap. An operation is one block. Bounded by count.
#include "workload.h"

struct slot {
    unsigned char *block;
    size_t size;
};

static uint64_t slots = 8192, least = 16, most = 1040, waves = 1000, remote = 25;
static unsigned share_count;
static struct slot *table;
static pthread_barrier_t filled;

struct share {
    _Alignas(WORKLOAD_LINE) struct workload_random random;
    size_t first, end, handed; // handed..end is freed by the next thread
    uint64_t checksum;
};

static struct share shares[WORKLOAD_MAX_THREADS];

static uint64_t release_range(size_t first, size_t end)
{
    uint64_t checksum = 0;
    for (size_t i = first; i < end; i++)
        checksum += workload_release(table[i].block, table[i].size);
    return checksum;
}

static void *share_main(void *argument)
{
    struct share *share = argument;
    const struct share *previous = &shares[(share - shares + share_count - 1) % share_count];
    for (size_t i = share->first; i < share->end; i++) {
        table[i].size = workload_between(&share->random, least, most);
        table[i].block = workload_allocate(table[i].size, (unsigned)i);
    }
    pthread_barrier_wait(&filled);
    share->checksum += release_range(share->first, share->handed);
    share->checksum += release_range(previous->handed, previous->end);
    return NULL;
}

static void deal_shares(void)
{
    for (unsigned i = 0; i < share_count; i++) {
        struct share *share = &shares[i];
        share->random = workload_seed(i);
        share->first = slots * i / share_count;
        share->end = slots * (i + 1) / share_count;
        share->handed = share->end - (share->end - share->first) * remote / 100;
    }
}

static uint64_t run_waves(unsigned thread)
{
    (void)thread;
    pthread_t ids[WORKLOAD_MAX_THREADS];
    for (uint64_t wave = 0; wave < waves; wave++) {
        for (unsigned i = 0; i < share_count; i++)
            workload_start(&ids[i], share_main, &shares[i]);
        for (unsigned i = 0; i < share_count; i++)
            pthread_join(ids[i], NULL);
    }
    uint64_t checksum = 0;
    for (unsigned i = 0; i < share_count; i++)
        checksum += shares[i].checksum;
    return checksum;
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"slots", &slots, 64, 1 << 24, "slots of all threads together"},
        {"least", &least, 2, 1 << 30, "smallest block in bytes"},
        {"most", &most, 2, 1 << 30, "largest block in bytes"},
        {"waves", &waves, 1, 100000000, "waves of threads, one after the other"},
        {"remote", &remote, 0, 100, "per cent of a share that the next thread frees"},
    };
    struct workload w = {.name = "c7",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 4,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    if (least > most)
        workload_fail(2, "--least must not be above --most", NULL);
    share_count = (unsigned)w.threads;
    table = workload_map(slots * sizeof(struct slot));
    pthread_barrier_init(&filled, NULL, share_count);
    deal_shares();
    return workload_report(&w, slots * waves, workload_run(run_waves, 1));
}
