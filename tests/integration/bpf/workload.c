/*
 * workload.c - allocates by plan, and says where it stands.
 *
 * workload BLOCKS BYTES THREADS CHILDREN: says "ready PID" and waits for a line; without
 * one it ends. Then each thread, and each forked child, allocates BLOCKS blocks of BYTES
 * bytes and frees them; it says "done", waits for the end of its input, and ends.
 * With a fifth word it waits for nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static long blocks, bytes;

static void *work(void *unused)
{
    char **held = malloc((size_t)blocks * sizeof *held);
    for (long i = 0; i < blocks; i++) {
        held[i] = malloc((size_t)bytes);
        *(volatile char *)held[i] = 1;
    }
    for (long i = 0; i < blocks; i++)
        free(held[i]);
    free(held);
    return unused;
}

static void say(const char *text)
{
    dprintf(1, "%s %d\n", text, (int)getpid());
}

int main(int count, char **words)
{
    char input;
    if (count != 5 && count != 6)
        return 2;
    blocks = atol(words[1]);
    bytes = atol(words[2]);
    long threads = atol(words[3]), children = atol(words[4]);
    pthread_t started[64];
    say("ready");
    do {
        if (count == 6)
            break;
        if (read(0, &input, 1) != 1)
            return 0;
    } while (input != '\n');
    for (long i = 0; i < threads; i++)
        pthread_create(&started[i], NULL, work, NULL);
    for (long i = 0; i < threads; i++)
        pthread_join(started[i], NULL);
    for (long i = 0; i < children; i++)
        if (fork() == 0) {
            work(NULL);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    say("done");
    while (count == 5 && read(0, &input, 1) == 1)
        ;
    return 0;
}
