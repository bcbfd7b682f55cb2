/*
 * signature.h - what sizes a program asks for, as a histogram, and how far two of them are apart.
 *
 * Bins are a doubling wide. Up to 32 KiB a bin includes its upper edge, from 64 KiB on its lower
 * one: so the edges fall exactly where the tiers do (Tiny up to and including 1 KiB; an mmap
 * threshold takes blocks from itself up), and bin by bin a size belongs to one tier.
 *
 * distance = sum over bins |share_a - share_b|, 0 (same) to 2 (disjoint): the L1 distance, twice
 * the total variation distance. Two samples of one and the same distribution are apart too; with
 * the normal approximation of each bin's difference, E|x| = sigma sqrt(2 / pi) gives the
 * expected distance
 *
 *   noise = sum over bins sqrt(2/pi * p (1 - p) (1/n_a + 1/n_b)),  p the pooled share
 *
 * Owned by whoever holds the struct, for one thread at a time (the learner's, or the owner of a
 * per-thread histogram that the learner adds up). No I/O, no clock, no allocation.
 *
 * It does not: decide what counts as a shift (lifecycle), or age its counts.
 */
#ifndef HAK_LEARN_SIGNATURE_H
#define HAK_LEARN_SIGNATURE_H

#include <stdint.h>

#define HAK_SIGNATURE_BINS 24

struct hak_signature {
    uint64_t count[HAK_SIGNATURE_BINS]; /* allocations by size bin */
    uint64_t total;                     /* sum of count */
};

void hak_signature_clear(struct hak_signature *signature);

/* 0 for up to 16 bytes, 1 for up to 32, ... 11 for up to 32 KiB, 12 below 64 KiB, 13 from 64 KiB,
 * 14 from 128 KiB, ... 23 from 64 MiB up. */
uint32_t hak_signature_bin(uint64_t size_bytes);

/* Counts allocations of one size. */
void hak_signature_add(struct hak_signature *signature, uint64_t size_bytes, uint64_t allocations);

/* Adds all of from's counts to into. */
void hak_signature_merge(struct hak_signature *into, const struct hak_signature *from);

/* L1 distance, 0..2; NaN while either is empty. */
double hak_signature_distance(const struct hak_signature *a, const struct hak_signature *b);

/* The distance to expect from chance alone; NaN while either is empty. */
double hak_signature_noise(const struct hak_signature *a, const struct hak_signature *b);

/* distance - 2 noise, not below 0: what chance does not explain; NaN while either is empty. */
double hak_signature_shift(const struct hak_signature *a, const struct hak_signature *b);

#endif
