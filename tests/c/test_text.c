/* base/text: formatting and parsing without malloc. */
#include "base/text.h"

#include <stdlib.h>
#include <unistd.h>

#include "check.h"

static void numbers_are_written_in_full(void) {
    HAK_TEXT(t, 200);
    hak_text_add_u64(&t, 0);
    hak_text_add(&t, " ");
    hak_text_add_u64(&t, UINT64_MAX);
    hak_text_add(&t, " ");
    hak_text_add_i64(&t, INT64_MIN);
    hak_text_add(&t, " ");
    hak_text_add_hex(&t, 0xdeadBEEFu);
    CHECK_TEXT(t.bytes, "0 18446744073709551615 -9223372036854775808 0xdeadbeef");
    CHECK_EQ(t.length, strlen(t.bytes));
}

static void a_double_has_up_to_six_decimals_without_trailing_zeros(void) {
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1"},
                 {0.5, "0.5"},
                 {-2.25, "-2.25"},
                 {0.000001, "0.000001"},
                 {0.0000004, "0"},
                 {16777216, "16777216"},
                 {1.9999999, "2"},
                 {0.065, "0.065"},
                 {100.10, "100.1"}};
    for (size_t i = 0; i < HAK_COUNT_OF(cases); i++) {
        HAK_TEXT(t, 64);
        hak_text_add_double(&t, cases[i].value);
        CHECK_TEXT(t.bytes, cases[i].text);
    }
}

static void what_does_not_fit_is_cut(void) {
    for (size_t capacity = 1; capacity <= 12; capacity++) {
        char bytes[16];
        memset(bytes, 'x', sizeof bytes);
        struct hak_text t = {bytes, capacity, 0};
        hak_text_add(&t, "hello");
        hak_text_add_u64(&t, 123456);
        CHECK_EQ(t.length, capacity - 1);
        CHECK_EQ(memcmp(bytes, "hello123456", capacity - 1), 0);
        CHECK_EQ(bytes[capacity - 1], '\0');
        CHECK_EQ(bytes[capacity], 'x');
    }
}

static void bytes_outside_printable_ascii_become_question_marks(void) {
    HAK_TEXT(t, 64);
    hak_text_add_printable(&t, "a\tb\x1b[31m\xc3\xa9~ ", 60);
    CHECK_TEXT(t.bytes, "a?b?[31m??~ ");
}

static void a_long_value_is_shown_in_part(void) {
    HAK_TEXT(t, 64);
    hak_text_add_printable(&t, "abcdef", 6);
    hak_text_add(&t, "|");
    hak_text_add_printable(&t, "abcdef", 5);
    CHECK_TEXT(t.bytes, "abcdef|abcde...");
}

static void a_flush_writes_one_piece_empties_the_text_and_keeps_errno(void) {
    int pipes[2], saved = dup(STDERR_FILENO);
    char got[32] = "";
    CHECK_EQ(pipe(pipes), 0);
    HAK_TEXT(t, 32);
    hak_text_add(&t, "one line\n");
    dup2(pipes[1], STDERR_FILENO);
    errno = 77;
    hak_text_flush(&t);
    int after = errno;
    close(STDERR_FILENO);
    hak_text_add(&t, "nobody listens\n");
    errno = 78;
    hak_text_flush(&t);
    int after_closed = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipes[1]);
    CHECK_EQ(read(pipes[0], got, sizeof got - 1), 9);
    close(pipes[0]);
    CHECK_TEXT(got, "one line\n");
    CHECK_EQ(after, 77);
    CHECK_EQ(after_closed, 78);
    CHECK_EQ(t.length, 0);
}

static void whole_numbers_are_parsed_with_sign_radix_and_suffix(void) {
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {{"0", 0},
                 {"-0", 0},
                 {"42", 42},
                 {"-7", -7},
                 {"007", 7},
                 {"0x1F", 31},
                 {"0XaB", 171},
                 {"4k", 4096},
                 {"4K", 4096},
                 {"2m", 2 << 20},
                 {"1G", 1 << 30},
                 {"-1K", -1024},
                 {"0x10K", 16384},
                 {"9223372036854775807", INT64_MAX},
                 {"-9223372036854775807", -INT64_MAX},
                 {"8589934591G", (int64_t)8589934591 << 30}};
    for (size_t i = 0; i < HAK_COUNT_OF(cases); i++) {
        int64_t value = 99;
        CHECK_EQ(hak_text_parse_i64(cases[i].text, &value), 0);
        CHECK_EQ(value, cases[i].value);
    }
}

static void what_is_not_a_whole_number_is_refused(void) {
    static const char *const bad[] = {"",   "-",   "+1",  " 1", "1 ",  "x",   "0x",  "0xg",
                                      "1x", "1KK", "1Kb", "K",  "--1", "1.5", "1e3", "\xff"};
    for (size_t i = 0; i < HAK_COUNT_OF(bad); i++) {
        int64_t value = 99;
        if (!CHECK_EQ(hak_text_parse_i64(bad[i], &value), -EINVAL))
            fprintf(stderr, "  text was \"%s\"\n", bad[i]);
        CHECK_EQ(value, 99);
    }
}

static void a_number_that_does_not_fit_is_out_of_range(void) {
    static const char *const bad[] = {"9223372036854775808",  "99999999999999999999999999",
                                      "0x8000000000000000",   "8589934592G",
                                      "-9999999999999999999", "9007199254740993M"};
    for (size_t i = 0; i < HAK_COUNT_OF(bad); i++) {
        int64_t value = 99;
        if (!CHECK_EQ(hak_text_parse_i64(bad[i], &value), -ERANGE))
            fprintf(stderr, "  text was \"%s\"\n", bad[i]);
        CHECK_EQ(value, 99);
    }
}

static void fractions_are_parsed(void) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0}, {"0.65", 0.65}, {".5", 0.5}, {"3.", 3}, {"-1.25", -1.25}, {"10", 10}};
    for (size_t i = 0; i < HAK_COUNT_OF(cases); i++) {
        double value = 99;
        CHECK_EQ(hak_text_parse_double(cases[i].text, &value), 0);
        CHECK_NEAR(value, cases[i].value, 1e-12);
    }
}

static void what_is_not_a_fraction_is_refused(void) {
    static const char *const bad[] = {"",    ".",   "-",     "-.", "1e5",
                                      "nan", "inf", "1.2.3", "1 ", "0x1"};
    for (size_t i = 0; i < HAK_COUNT_OF(bad); i++) {
        double value = 99;
        if (!CHECK_EQ(hak_text_parse_double(bad[i], &value), -EINVAL))
            fprintf(stderr, "  text was \"%s\"\n", bad[i]);
    }
    char many[402];
    memset(many, '9', 401);
    many[401] = '\0';
    double value;
    CHECK_EQ(hak_text_parse_double(many, &value), -ERANGE);
}

/* Whatever the parser accepts without a suffix is what strtoll says, and it accepts all of it. */
static void the_parser_agrees_with_libc_on_chance(void) {
    static const char letters[] = "0123456789-xK. aF";
    struct check_rng rng = check_rng_seed(11);
    for (int i = 0; i < 200000; i++) {
        char text[12], *end;
        size_t n = check_rng_between(&rng, 0, 10);
        for (size_t k = 0; k < n; k++)
            text[k] = letters[check_rng_between(&rng, 0, sizeof letters - 2)];
        text[n] = '\0';
        int64_t value = 0;
        int error = hak_text_parse_i64(text, &value);
        size_t digits = strcspn(text, "K");
        int hex = strstr(text, "0x") == text || strstr(text, "-0x") == text;
        long long want = strtoll(text, &end, hex ? 16 : 10);
        int plain = n != 0 && *end == '\0' && text[0] != ' ' && text[0] != '+';
        if (digits == n && (error == 0) != plain) {
            CHECK(!"the parser and libc disagree");
            fprintf(stderr, "  text was \"%s\"\n", text);
            return;
        }
        if (digits == n && error == 0 && !CHECK_EQ(value, want))
            return;
    }
}

static void a_prefix_comparison_stops_at_the_end_of_either(void) {
    CHECK(hak_text_equal_n("abc", "abd", 2));
    CHECK(!hak_text_equal_n("abc", "abd", 3));
    CHECK(hak_text_equal_n("ab", "ab", 9));
    CHECK(!hak_text_equal_n("ab", "abc", 3));
    CHECK(!hak_text_equal_n("abc", "ab", 3));
    CHECK(hak_text_equal_n("", "x", 0));
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(numbers_are_written_in_full);
    RUN(a_double_has_up_to_six_decimals_without_trailing_zeros);
    RUN(what_does_not_fit_is_cut);
    RUN(bytes_outside_printable_ascii_become_question_marks);
    RUN(a_long_value_is_shown_in_part);
    RUN(a_flush_writes_one_piece_empties_the_text_and_keeps_errno);
    RUN(whole_numbers_are_parsed_with_sign_radix_and_suffix);
    RUN(what_is_not_a_whole_number_is_refused);
    RUN(a_number_that_does_not_fit_is_out_of_range);
    RUN(fractions_are_parsed);
    RUN(what_is_not_a_fraction_is_refused);
    RUN(the_parser_agrees_with_libc_on_chance);
    RUN(a_prefix_comparison_stops_at_the_end_of_either);
    return check_report();
}
