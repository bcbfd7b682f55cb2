/*
 * program.h - what the reliability programs share. Each is a plain C program over the malloc it
 * finds: run under libhakmem by tests/integration/test_reliability.py, and under any other.
 *
 * It prints "ok" and exits 0, or says on stderr what did not hold and exits 1. GUARD() ends a hang
 * with SIGALRM; no verdict depends on a clock otherwise.
 */
#ifndef HAK_TESTS_PROGRAM_H
#define HAK_TESTS_PROGRAM_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUARD() alarm(120)

static int program_failures;

/* Uses no allocation and may be called by any thread, and in a child after fork. */
#define EXPECT(held) \
    do { \
        if (!(held)) { \
            static const char text[] = __FILE__ ": not true: " #held "\n"; \
            if (__atomic_fetch_add(&program_failures, 1, __ATOMIC_RELAXED) < 20) \
                (void)!write(2, text, sizeof text - 1); \
        } \
    } while (0)

__attribute__((unused)) static int report(void) {
    if (program_failures == 0)
        (void)!write(1, "ok\n", 3);
    return program_failures != 0;
}

/* Hides a value from the compiler, which knows what malloc's arguments mean. */
__attribute__((unused)) static size_t opaque(size_t value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

__attribute__((unused)) static void *opaque_pointer(void *value) {
    __asm__ volatile("" : "+r"(value) : : "memory");
    return value;
}

__attribute__((unused)) static uint64_t next_random(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* SIGTRAP after every instruction between the two, also in the functions called. */
#define STEP_ON() __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq" : : : "memory", "cc")
#define STEP_OFF() __asm__ volatile("pushfq; andl $~0x100, (%%rsp); popfq" : : : "memory", "cc")

/* Sizes of every tier: mostly tiny, some Mid and Large, few big. */
__attribute__((unused)) static size_t some_size(uint64_t *state) {
    static const size_t most[] = {64, 64, 256, 256, 1024, 2048, 12000, 40000};
    uint64_t r = next_random(state);
    if (r % 256 == 0)
        return 1 + r / 256 % 3000000;
    return 1 + r / 256 % most[r % 8];
}

/* A block that knows its own contents. */
struct held {
    unsigned char *bytes;
    size_t size;
};

__attribute__((unused)) static void hold(struct held *h, size_t size) {
    h->size = size;
    h->bytes = malloc(size);
    EXPECT(h->bytes != NULL);
    if (h->bytes == NULL)
        return;
    h->bytes[0] = h->bytes[size - 1] = (unsigned char)(size ^ (uintptr_t)h->bytes >> 4);
}

__attribute__((unused)) static void let_go(struct held *h) {
    unsigned char want = (unsigned char)(h->size ^ (uintptr_t)h->bytes >> 4);
    if (h->bytes == NULL)
        return;
    EXPECT(h->bytes[0] == want && h->bytes[h->size - 1] == want);
    free(h->bytes);
    h->bytes = NULL;
}

/* `steps` random steps on `count` blocks. */
__attribute__((unused)) static void churn(struct held *held, unsigned count, unsigned steps,
                                          uint64_t *state) {
    for (unsigned i = 0; i < steps; i++) {
        struct held *h = &held[next_random(state) % count];
        if (h->bytes != NULL)
            let_go(h);
        else
            hold(h, some_size(state));
    }
}

__attribute__((unused)) static void let_go_all(struct held *held, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        let_go(&held[i]);
}

/* A line "Name:  N kB" of /proc/self/status in bytes, read without allocation. */
__attribute__((unused)) static size_t status_bytes(const char *name) {
    static char text[8192];
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *line = strstr(text, name);
    return line != NULL ? strtoul(line + strlen(name), NULL, 10) * 1024 : 0;
}

__attribute__((unused)) static size_t resident_bytes(void) {
    return status_bytes("VmRSS:");
}

__attribute__((unused)) static size_t address_space_bytes(void) {
    return status_bytes("VmSize:");
}

#endif
