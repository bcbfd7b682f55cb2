// thread_churn: thousands of threads that live for a moment, as with one thread for a request.
//
// Each of the `--threads` starters runs its short-lived threads one after another. A short-lived
// thread allocates its blocks (16..1040 bytes), frees all but every eighth and ends; its starter
// frees those. What an allocator keeps for a dead thread shows as peak RSS, what a thread costs it
// to set up and tear down as time. An operation is one short-lived thread.
#include "workload.h"

enum { LEAST = 16, MOST = 1040, LEFT_OF = 8, MOST_BLOCKS = 4096 };

static uint64_t lives = 5000, blocks = 128;

struct life {
    struct workload_random random;
    unsigned char *block[MOST_BLOCKS];
    size_t size[MOST_BLOCKS];
    uint64_t checksum;
};

static struct life *tables[WORKLOAD_MAX_THREADS];

static void *life_main(void *argument)
{
    struct life *life = argument;
    for (uint64_t i = 0; i < blocks; i++) {
        life->size[i] = workload_between(&life->random, LEAST, MOST);
        life->block[i] = workload_allocate(life->size[i], (unsigned)i);
    }
    for (uint64_t i = 0; i < blocks; i++)
        if (i % LEFT_OF)
            life->checksum += workload_release(life->block[i], life->size[i]);
    return NULL;
}

static uint64_t body(unsigned thread)
{
    struct life *life = tables[thread];
    life->random = workload_seed(thread);
    for (uint64_t i = 0; i < lives; i++) {
        pthread_t id;
        workload_start(&id, life_main, life);
        pthread_join(id, NULL);
        for (uint64_t left = 0; left < blocks; left += LEFT_OF)
            life->checksum += workload_release(life->block[left], life->size[left]);
    }
    return life->checksum;
}

int main(int argc, char **argv)
{
    const struct workload_flag flags[] = {
        {"lives", &lives, 1, 100000000, "short-lived threads of each starter"},
        {"blocks", &blocks, 1, MOST_BLOCKS, "blocks of each short-lived thread"},
    };
    struct workload w = {.name = "thread_churn",
                         .flags = flags,
                         .flag_count = WORKLOAD_COUNT(flags),
                         .threads = 2,
                         .most_threads = WORKLOAD_MAX_THREADS};
    workload_parse(&w, argc, argv);
    for (uint64_t i = 0; i < w.threads; i++)
        tables[i] = workload_map(sizeof(struct life));
    return workload_report(&w, lives * w.threads, workload_run(body, (unsigned)w.threads));
}
