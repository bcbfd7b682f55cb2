/*
 * text.h - text into a caller's buffer, without malloc, stdio or locale.
 * Owner: the caller owns the buffer; one thread at a time per struct hak_text.
 * What does not fit is cut; `length` never exceeds `capacity - 1`.
 */
#ifndef HAK_TEXT_H
#define HAK_TEXT_H

#include "base/base.h"

struct hak_text {
    char *bytes;
    size_t capacity; /* at least 1 */
    size_t length;
};

#define HAK_TEXT(name, size) \
    char name##_bytes[size]; \
    struct hak_text name = {name##_bytes, sizeof name##_bytes, 0}

void hak_text_add(struct hak_text *text, const char *string);
void hak_text_add_n(struct hak_text *text, const char *bytes, size_t count);
void hak_text_add_i64(struct hak_text *text, int64_t value);
void hak_text_add_u64(struct hak_text *text, uint64_t value);
void hak_text_add_hex(struct hak_text *text, uint64_t value);
/* Up to six decimals, trailing zeros dropped. */
void hak_text_add_double(struct hak_text *text, double value);
/* Bytes outside printable ASCII become '?'; at most `limit` of them, then "...". */
void hak_text_add_printable(struct hak_text *text, const char *string, size_t limit);
/* Writes the text to stderr in one write(2) and empties it. */
void hak_text_flush(struct hak_text *text);

/* The whole of `string` must be a decimal or 0x number, with an optional K/M/G suffix
 * (powers of 1024). Returns 0, or -EINVAL (not a number) or -ERANGE (does not fit). */
int hak_text_parse_i64(const char *string, int64_t *value);
/* Plain decimal notation ("1.5"); same results. */
int hak_text_parse_double(const char *string, double *value);

/* libc's own versions may be intercepted or not be relocated yet when we need them. */
size_t hak_text_length(const char *string);
int hak_text_equal_n(const char *a, const char *b, size_t count);

#endif
