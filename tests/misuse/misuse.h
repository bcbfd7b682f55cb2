/*
 * misuse.h - what the misuse programs share. Each commits one abuse, goes on, and prints "survived"
 * with exit code 0 if it could. Its first lines say what libhakmem does about it; "Expect:" is what
 * tests/integration/test_misuse.py checks: the exit code, or the signal where the abuse is not
 * detected and fatal, and the exact counters.
 */
#ifndef HAK_TESTS_MISUSE_H
#define HAK_TESTS_MISUSE_H

#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Hides a pointer from the compiler, which would otherwise see the abuse. */
__attribute__((unused)) static void *hidden(void *pointer) {
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

/* Ends a hang. Runs `body` in a thread of its own, whose end gives all its lists back, and with
 * them finds what is wrong with their links. */
__attribute__((unused)) static void in_a_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    alarm(60);
    if (pthread_create(&thread, NULL, body, argument) != 0)
        abort();
    pthread_join(thread, NULL);
}

/* The rest of the program's life: it allocates in every tier and finds what it has written. */
__attribute__((unused)) static int survive(void) {
    static const size_t sizes[] = {16, 64, 100, 1000, 5000, 70000, 400000, 3000000};
    unsigned char *blocks[8][20];
    unsigned wrong = 0;
    alarm(60);
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < 20; k++) {
            blocks[i][k] = malloc(sizes[i]);
            memset(blocks[i][k], (int)(i * 20 + k), sizes[i]);
        }
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < 20; k++) {
            wrong += blocks[i][k][0] != i * 20 + k || blocks[i][k][sizes[i] - 1] != i * 20 + k;
            free(blocks[i][k]);
        }
    if (wrong != 0) {
        fprintf(stderr, "%u blocks are not their owner's alone\n", wrong);
        return 1;
    }
    puts("survived");
    return 0;
}

#endif
