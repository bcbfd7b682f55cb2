#include "base/text.h"

#include <unistd.h>

size_t hak_text_length(const char *string)
{
    size_t n = 0;
    while (string[n] != '\0')
        n++;
    return n;
}

int hak_text_equal_n(const char *a, const char *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i] != b[i] || a[i] == '\0')
            return a[i] == b[i];
    return 1;
}

void hak_text_add_n(struct hak_text *text, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && text->length + 1 < text->capacity; i++)
        text->bytes[text->length++] = bytes[i];
    text->bytes[text->length] = '\0';
}

void hak_text_add(struct hak_text *text, const char *string)
{
    hak_text_add_n(text, string, hak_text_length(string));
}

static void add_digits(struct hak_text *text, uint64_t value, unsigned radix)
{
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % radix];
        value /= radix;
    } while (value != 0);
    hak_text_add_n(text, digits + at, sizeof digits - at);
}

void hak_text_add_u64(struct hak_text *text, uint64_t value)
{
    add_digits(text, value, 10);
}

void hak_text_add_hex(struct hak_text *text, uint64_t value)
{
    hak_text_add(text, "0x");
    add_digits(text, value, 16);
}

void hak_text_add_i64(struct hak_text *text, int64_t value)
{
    if (value < 0)
        hak_text_add(text, "-");
    add_digits(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
}

void hak_text_add_double(struct hak_text *text, double value)
{
    if (value < 0) {
        hak_text_add(text, "-");
        value = -value;
    }
    uint64_t millionths = (uint64_t)(value * 1e6 + 0.5);
    add_digits(text, millionths / 1000000, 10);
    millionths %= 1000000;
    if (millionths == 0)
        return;
    char digits[8] = ".000000";
    for (int i = 6; i >= 1; i--, millionths /= 10)
        digits[i] = (char)('0' + millionths % 10);
    size_t length = 7;
    while (digits[length - 1] == '0')
        length--;
    hak_text_add_n(text, digits, length);
}

void hak_text_add_printable(struct hak_text *text, const char *string, size_t limit)
{
    for (size_t i = 0; string[i] != '\0'; i++) {
        if (i == limit) {
            hak_text_add(text, "...");
            return;
        }
        char c = string[i];
        hak_text_add_n(text, c >= ' ' && c <= '~' ? &c : "?", 1);
    }
}

void hak_text_flush(struct hak_text *text)
{
    int saved = errno;
    ssize_t written = write(STDERR_FILENO, text->bytes, text->length);
    (void)written; /* nobody is left to tell */
    text->length = 0;
    errno = saved;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

static int suffix_shift(char c)
{
    switch (c) {
    case 'k': case 'K': return 10;
    case 'm': case 'M': return 20;
    case 'g': case 'G': return 30;
    default: return 0;
    }
}

int hak_text_parse_i64(const char *string, int64_t *value)
{
    int negative = *string == '-';
    string += negative;
    int radix = string[0] == '0' && (string[1] == 'x' || string[1] == 'X') ? 16 : 10;
    string += radix == 16 ? 2 : 0;
    if (digit_of(*string) >= radix)
        return -EINVAL;
    int64_t sum = 0;
    int overflow = 0;
    for (; digit_of(*string) < radix; string++)
        overflow |= __builtin_mul_overflow(sum, (int64_t)radix, &sum) ||
                    __builtin_add_overflow(sum, (int64_t)digit_of(*string), &sum);
    int shift = suffix_shift(*string);
    if (shift != 0) {
        string++;
        overflow |= __builtin_mul_overflow(sum, (int64_t)1 << shift, &sum);
    }
    if (*string != '\0')
        return -EINVAL;
    if (overflow)
        return -ERANGE;
    *value = negative ? -sum : sum;
    return 0;
}

int hak_text_parse_double(const char *string, double *value)
{
    int negative = *string == '-';
    string += negative;
    double sum = 0, scale = 1;
    int digits = 0;
    for (; *string >= '0' && *string <= '9'; string++, digits++)
        sum = sum * 10 + (*string - '0');
    if (*string == '.')
        for (string++; *string >= '0' && *string <= '9'; string++, digits++)
            sum += (*string - '0') * (scale /= 10);
    if (digits == 0 || *string != '\0')
        return -EINVAL;
    if (digits > 300)
        return -ERANGE;
    *value = negative ? -sum : sum;
    return 0;
}
