/* core/config: environment -> mode -> alias -> name -> range check -> value, and what is said. */
#include "core/config.h"

#include <stdarg.h>
#include <unistd.h>

#include "hak.h"

static struct hak_knob_value own_values[HAK_KNOB_VALUE_COUNT];
static char said[65536]; /* what the last load wrote on stderr */
static int lines;

/* Loads the knobs from these variables alone (closed by NULL) and catches what is said. */
static void load(const char *first, ...) {
    char *environment[64];
    size_t count = 0;
    va_list rest;
    va_start(rest, first);
    for (const char *v = first; v != NULL; v = va_arg(rest, const char *))
        environment[count++] = (char *)v;
    va_end(rest);
    environment[count] = NULL;
    memset(hak_config, 0, sizeof hak_config);
    int pipes[2], saved = dup(STDERR_FILENO);
    if (pipe(pipes) != 0)
        abort();
    dup2(pipes[1], STDERR_FILENO);
    hak_config_load(environment);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipes[1]);
    ssize_t got = 0, part;
    while ((part = read(pipes[0], said + got, sizeof said - 1 - (size_t)got)) > 0)
        got += part;
    close(pipes[0]);
    said[got] = '\0';
    lines = 0;
    for (ssize_t i = 0; i < got; i++)
        lines += said[i] == '\n';
}

#define LOAD(...) load(__VA_ARGS__, (const char *)NULL)
#define VALUE(id) (hak_config[HAK_KNOB_##id].value)
#define SOURCE(id) (hak_config[HAK_KNOB_##id].source)
#define REFUSED(id) (hak_config[HAK_KNOB_##id].flags & 1)
#define SAID(text) (strstr(said, text) != NULL)

static void without_variables_every_knob_has_its_default_and_nothing_is_said(void) {
    LOAD("PATH=/bin", "HAKMEMX=1", "HAKMEM=2", "XHAKMEM_MODE=fast");
    CHECK_EQ(VALUE(mode), 2);
    CHECK_EQ(VALUE(superslab_lg), 21);
    CHECK_EQ(VALUE(front_cap), 512);
    CHECK_EQ(VALUE(ss_empty_reuse), 1);
    CHECK_EQ(VALUE(ss_empty_scan_limit), 64);
    for (int i = 0; i < HAK_KNOB_VALUE_COUNT; i++)
        CHECK_EQ(hak_config[i].source, HAK_FROM_DEFAULT);
    CHECK_TEXT(said, "");
}

static void a_variable_sets_its_knob_silently(void) {
    LOAD("HAKMEM_SUPERSLAB_LG=19", "HAKMEM_SS_EMPTY_REUSE=0", "HAKMEM_TINY_GEOMETRY=pow2",
         "HAKMEM_FRONT_CAP=0x40");
    CHECK_EQ(VALUE(superslab_lg), 19);
    CHECK_EQ(VALUE(ss_empty_reuse), 0);
    CHECK_EQ(VALUE(tiny_geometry), 0);
    CHECK_EQ(VALUE(front_cap), 64);
    CHECK_EQ(SOURCE(superslab_lg), HAK_FROM_ENV);
    CHECK_EQ(REFUSED(superslab_lg), 0);
    CHECK_TEXT(said, "");
}

static void a_boolean_takes_every_usual_word(void) {
    static const char *const yes[] = {"1", "on", "yes", "true"};
    static const char *const no[] = {"0", "off", "no", "false"};
    for (int i = 0; i < 4; i++) {
        char text[64];
        snprintf(text, sizeof text, "HAKMEM_SS_EMPTY_REUSE=%s", no[i]);
        LOAD(text);
        CHECK_EQ(VALUE(ss_empty_reuse), 0);
        snprintf(text, sizeof text, "HAKMEM_SS_EMPTY_REUSE=%s", yes[i]);
        LOAD(text);
        CHECK_EQ(VALUE(ss_empty_reuse), 1);
        CHECK_TEXT(said, "");
    }
}

static void a_value_below_or_above_its_range_becomes_the_nearest_and_is_told(void) {
    static const struct {
        const char *variable;
        int64_t used;
        const char *text;
    } cases[] = {
        {"HAKMEM_SUPERSLAB_LG=9000", 21,
         "hakmem: HAKMEM_SUPERSLAB_LG=9000: outside 19..21; using 21\n"},
        {"HAKMEM_SUPERSLAB_LG=3", 19, "hakmem: HAKMEM_SUPERSLAB_LG=3: outside 19..21; using 19\n"},
        {"HAKMEM_SUPERSLAB_LG=-1", 19,
         "hakmem: HAKMEM_SUPERSLAB_LG=-1: outside 19..21; using 19\n"},
        {"HAKMEM_SUPERSLAB_LG=99999999999999999999", 21,
         "hakmem: HAKMEM_SUPERSLAB_LG=99999999999999999999: outside 19..21; using 21\n"},
        {"HAKMEM_SUPERSLAB_LG=-99999999999999999999", 19,
         "hakmem: HAKMEM_SUPERSLAB_LG=-99999999999999999999: outside 19..21; using 19\n"},
        {"HAKMEM_SUPERSLAB_LG=9000000000G", 21,
         "hakmem: HAKMEM_SUPERSLAB_LG=9000000000G: outside 19..21; using 21\n"},
    };
    for (size_t i = 0; i < HAK_COUNT_OF(cases); i++) {
        LOAD(cases[i].variable);
        CHECK_EQ(VALUE(superslab_lg), cases[i].used);
        CHECK(REFUSED(superslab_lg));
        CHECK_TEXT(said, cases[i].text);
    }
}

static void a_value_that_is_no_number_keeps_the_default_and_is_told(void) {
    static const char *const bad[] = {"",    "x",    "20x", " 20", "20 ", "2O",
                                      "+20", "20.5", "1e1", "-",   "0x"};
    for (size_t i = 0; i < HAK_COUNT_OF(bad); i++) {
        char variable[64], want[200];
        snprintf(variable, sizeof variable, "HAKMEM_SUPERSLAB_LG=%s", bad[i]);
        snprintf(want, sizeof want, "hakmem: %s: not understood; allowed is 19..21; using 21\n",
                 variable);
        LOAD(variable);
        CHECK_EQ(VALUE(superslab_lg), 21);
        CHECK_EQ(SOURCE(superslab_lg), HAK_FROM_DEFAULT);
        CHECK(REFUSED(superslab_lg));
        CHECK_TEXT(said, want);
    }
}

static void a_boolean_that_is_none_keeps_the_default_and_is_told(void) {
    static const char *const bad[] = {"", "2", "-1", "maybe", "ON", "y", "01"};
    for (size_t i = 0; i < HAK_COUNT_OF(bad); i++) {
        char variable[64];
        snprintf(variable, sizeof variable, "HAKMEM_SS_EMPTY_REUSE=%s", bad[i]);
        LOAD(variable);
        CHECK_EQ(VALUE(ss_empty_reuse), 1);
        CHECK(REFUSED(ss_empty_reuse));
        CHECK_EQ(lines, 1);
        CHECK(SAID("not understood; allowed is 0 or 1 (off, on, no, yes); using 1\n"));
    }
}

static void a_choice_that_is_none_keeps_the_default_and_is_told(void) {
    LOAD("HAKMEM_TINY_GEOMETRY=pow3");
    CHECK_EQ(VALUE(tiny_geometry), 1);
    CHECK(REFUSED(tiny_geometry));
    CHECK_TEXT(said, "hakmem: HAKMEM_TINY_GEOMETRY=pow3: not understood; allowed is pow2|fine; "
                     "using fine\n");
    LOAD("HAKMEM_TINY_GEOMETRY=7");
    CHECK_EQ(VALUE(tiny_geometry), 1);
    CHECK_TEXT(said, "hakmem: HAKMEM_TINY_GEOMETRY=7: outside pow2|fine; using fine\n");
    LOAD("HAKMEM_TINY_GEOMETRY=pow");
    CHECK_EQ(VALUE(tiny_geometry), 1);
    CHECK_EQ(lines, 1);
    LOAD("HAKMEM_TINY_GEOMETRY=0"); /* the number of a choice is a way to say it */
    CHECK_EQ(VALUE(tiny_geometry), 0);
    CHECK_EQ(lines, 0);
}

static void control_characters_and_long_values_are_shown_harmlessly(void) {
    LOAD("HAKMEM_SUPERSLAB_LG=\x1b[2J\n\xff"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    CHECK_EQ(lines, 1);
    CHECK(!SAID("\x1b"));
    CHECK(SAID("?[2J??aaa"));
    CHECK(SAID("aaa...: not understood"));
    CHECK_EQ(VALUE(superslab_lg), 21);
}

static void an_unknown_name_is_told_and_ignored(void) {
    LOAD("HAKMEM_SUPERSLAB_LGG=19", "HAKMEM_SUPERSLAB_L=19");
    CHECK_EQ(VALUE(superslab_lg), 21);
    CHECK_EQ(lines, 2);
    CHECK(SAID("hakmem: HAKMEM_SUPERSLAB_LGG: no such knob, ignored; "
               "`hakmem knobs` lists them\n"));
}

static void a_variable_without_an_equals_sign_is_passed_over(void) {
    LOAD("HAKMEM_MODE", "HAKMEM_", "");
    CHECK_EQ(VALUE(mode), 2);
    CHECK_TEXT(said, "");
}

static void an_alias_works_and_is_told_once(void) {
    LOAD("HAKMEM_TINY_REG_SCAN_MAX=16");
    CHECK_EQ(VALUE(ss_empty_scan_limit), 16);
    CHECK_EQ(SOURCE(ss_empty_scan_limit), HAK_FROM_ENV);
    CHECK_TEXT(said, "hakmem: HAKMEM_TINY_REG_SCAN_MAX is an old name, and works; the knob is "
                     "HAKMEM_SS_EMPTY_SCAN_LIMIT\n");
}

static void a_bad_value_under_an_alias_is_told_under_that_name(void) {
    LOAD("HAKMEM_TINY_REG_SCAN_MAX=many");
    CHECK_EQ(VALUE(ss_empty_scan_limit), 64);
    CHECK_EQ(lines, 2);
    CHECK(SAID("hakmem: HAKMEM_TINY_REG_SCAN_MAX=many: not understood; allowed is 0..4096; "
               "using 64\n"));
}

static void the_canonical_name_wins_over_its_aliases_in_any_order(void) {
    LOAD("HAKMEM_TINY_REG_SCAN_MAX=16", "HAKMEM_SS_EMPTY_SCAN_LIMIT=32");
    CHECK_EQ(VALUE(ss_empty_scan_limit), 32);
    LOAD("HAKMEM_SS_EMPTY_SCAN_LIMIT=32", "HAKMEM_TINY_REG_SCAN_MAX=16");
    CHECK_EQ(VALUE(ss_empty_scan_limit), 32);
    CHECK_EQ(lines, 1);
}

static void an_indexed_knob_takes_its_number_from_the_name(void) {
    LOAD("HAKMEM_TINY_CAP_C0=5", "HAKMEM_TINY_CAP_C7=900", "HAKMEM_TINY_CAP_C31=3");
    CHECK_EQ(hak_knob_at(tiny_cap, 0), 5);
    CHECK_EQ(hak_knob_at(tiny_cap, 7), 900);
    CHECK_EQ(hak_knob_at(tiny_cap, 31), 3);
    CHECK_EQ(hak_knob_at(tiny_cap, 1), 0);
    CHECK_TEXT(said, "");
}

static void an_index_out_of_range_is_an_unknown_name(void) {
    static const char *const bad[] = {"HAKMEM_TINY_CAP_C32=1", "HAKMEM_TINY_CAP_C99999999999=1",
                                      "HAKMEM_TINY_CAP_C=1", "HAKMEM_TINY_CAP_C1x=1",
                                      "HAKMEM_TINY_CAP_C-1=1"};
    for (size_t i = 0; i < HAK_COUNT_OF(bad); i++) {
        LOAD(bad[i]);
        CHECK_EQ(lines, 1);
        CHECK(SAID("no such knob"));
        for (int c = 0; c < 32; c++)
            CHECK_EQ(hak_knob_at(tiny_cap, c), 0);
    }
}

static void an_indexed_alias_reaches_its_class(void) {
    LOAD("HAKMEM_TINY_SLL_CAP_C3=40");
    CHECK_EQ(hak_knob_at(front_cap_class, 3), 40);
    CHECK_EQ(lines, 1);
}

static void a_mode_sets_what_it_changes_and_a_knob_overrides_it(void) {
    LOAD("HAKMEM_MODE=minimal");
    CHECK_EQ(VALUE(front_enable), 0);
    CHECK_EQ(SOURCE(front_enable), HAK_FROM_MODE);
    LOAD("HAKMEM_FRONT=1", "HAKMEM_MODE=minimal");
    CHECK_EQ(VALUE(front_enable), 1);
    CHECK_EQ(SOURCE(front_enable), HAK_FROM_ENV);
    LOAD("HAKMEM_MODE=minimal", "HAKMEM_TINY_TLS_SLL=on");
    CHECK_EQ(VALUE(front_enable), 1);
    LOAD("HAKMEM_MODE=balanced");
    CHECK_EQ(VALUE(front_enable), 1);
    CHECK_EQ(SOURCE(front_enable), HAK_FROM_DEFAULT);
}

static void an_unknown_mode_is_told_and_the_default_runs(void) {
    LOAD("HAKMEM_MODE=turbo");
    CHECK_EQ(VALUE(mode), 2);
    CHECK_EQ(VALUE(front_enable), 1);
    CHECK_TEXT(said, "hakmem: HAKMEM_MODE=turbo: not understood; allowed is "
                     "minimal|fast|balanced|learning|research; using balanced\n");
}

static void every_knob_accepts_both_ends_of_its_range_by_its_own_name(void) {
    char table[65536], *line_end, *line = table;
    snprintf(table, sizeof table, "%s", hak_describe_knobs());
    line = strchr(line, '\n') + 1;
    for (; *line != '\0'; line = line_end + 1) {
        char *field[12], env[64], low[96], high[96];
        line_end = strchr(line, '\n');
        *line_end = '\0';
        for (int i = 0; i < 12; i++) {
            field[i] = line;
            char *tab = strchr(line, '\t');
            if (tab != NULL)
                *tab = '\0', line = tab + 1;
        }
        snprintf(env, sizeof env, "%s", field[1]);
        if (strstr(env, "<n>") != NULL)
            strcpy(strstr(env, "<n>"), "0");
        snprintf(low, sizeof low, "%s=%s", env, field[7]);
        snprintf(high, sizeof high, "%s=%s", env, field[8]);
        LOAD(low);
        CHECK_TEXT(said, "");
        LOAD(high);
        CHECK_TEXT(said, "");
    }
}

static void a_live_knob_can_be_set_and_a_boot_knob_cannot(void) {
    LOAD("PATH=/bin");
    CHECK_EQ(hak_config_set(HAK_KNOB_front_cap, 64), 0);
    CHECK_EQ(VALUE(front_cap), 64);
    CHECK_EQ(SOURCE(front_cap), HAK_FROM_LIVE);
    CHECK_EQ(hak_config_set(HAK_KNOB_front_cap, 7), -ERANGE);
    CHECK_EQ(hak_config_set(HAK_KNOB_front_cap, 4097), -ERANGE);
    CHECK_EQ(VALUE(front_cap), 64);
    CHECK_EQ(hak_config_set(HAK_KNOB_superslab_lg, 20), -EPERM);
    CHECK_EQ(hak_config_set(HAK_KNOB_VALUE_COUNT, 1), -ENOENT);
    CHECK_EQ(hak_config_set(UINT32_MAX, 1), -ENOENT);
    CHECK_EQ(hak_config_set(HAK_KNOB_tiny_cap + 31, 12), 0);
    CHECK_EQ(hak_knob_at(tiny_cap, 31), 12);
}

static void the_learner_moves_what_nobody_has_set_and_nothing_else(void) {
    LOAD("HAKMEM_MODE=learning", "HAKMEM_FRONT_CAP=64", "HAKMEM_WMAX_MID=1.5");
    CHECK(!hak_knob_is_pinned(mmap_threshold));
    CHECK(!hak_knob_is_pinned(learn)); /* a mode is nobody's own word */
    CHECK(hak_knob_is_pinned(front_cap));
    CHECK(hak_knob_is_pinned(w_max_mid));
    CHECK_EQ(hak_config_learn(HAK_KNOB_front_cap, 99), -EBUSY);
    CHECK_EQ(VALUE(front_cap), 64);
    CHECK_EQ(hak_config_learn(HAK_KNOB_mmap_threshold, 131072), 0);
    CHECK_EQ(VALUE(mmap_threshold), 131072);
    CHECK_EQ(SOURCE(mmap_threshold), HAK_FROM_LIVE);
    CHECK(!hak_knob_is_pinned(mmap_threshold)); /* its own value it may move */
    CHECK_EQ(hak_config_learn(HAK_KNOB_mmap_threshold, 1), -ERANGE);
    CHECK_EQ(hak_config_learn(HAK_KNOB_superslab_lg, 20), -EPERM);
    CHECK_EQ(hak_config_learn(HAK_KNOB_VALUE_COUNT, 1), -ENOENT);
}

static void a_tool_pins_a_knob_until_it_takes_it_back(void) {
    LOAD("PATH=/bin");
    CHECK_EQ(hak_config_learn(HAK_KNOB_mmap_threshold, 131072), 0);
    CHECK_EQ(hak_config_set(HAK_KNOB_mmap_threshold, 262144), 0);
    CHECK(hak_knob_is_pinned(mmap_threshold));
    CHECK_EQ(hak_config_learn(HAK_KNOB_mmap_threshold, 524288), -EBUSY);
    CHECK_EQ(VALUE(mmap_threshold), 262144);
    CHECK_EQ(hak_config_reset(HAK_KNOB_mmap_threshold), 0);
    CHECK(!hak_knob_is_pinned(mmap_threshold));
    CHECK_EQ(hak_config_learn(HAK_KNOB_mmap_threshold, 524288), 0);
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    memcpy(own_values, hak_config, sizeof own_values);
    RUN(without_variables_every_knob_has_its_default_and_nothing_is_said);
    RUN(a_variable_sets_its_knob_silently);
    RUN(a_boolean_takes_every_usual_word);
    RUN(a_value_below_or_above_its_range_becomes_the_nearest_and_is_told);
    RUN(a_value_that_is_no_number_keeps_the_default_and_is_told);
    RUN(a_boolean_that_is_none_keeps_the_default_and_is_told);
    RUN(a_choice_that_is_none_keeps_the_default_and_is_told);
    RUN(control_characters_and_long_values_are_shown_harmlessly);
    RUN(an_unknown_name_is_told_and_ignored);
    RUN(a_variable_without_an_equals_sign_is_passed_over);
    RUN(an_alias_works_and_is_told_once);
    RUN(a_bad_value_under_an_alias_is_told_under_that_name);
    RUN(the_canonical_name_wins_over_its_aliases_in_any_order);
    RUN(an_indexed_knob_takes_its_number_from_the_name);
    RUN(an_index_out_of_range_is_an_unknown_name);
    RUN(an_indexed_alias_reaches_its_class);
    RUN(a_mode_sets_what_it_changes_and_a_knob_overrides_it);
    RUN(an_unknown_mode_is_told_and_the_default_runs);
    RUN(every_knob_accepts_both_ends_of_its_range_by_its_own_name);
    RUN(a_live_knob_can_be_set_and_a_boot_knob_cannot);
    RUN(the_learner_moves_what_nobody_has_set_and_nothing_else);
    RUN(a_tool_pins_a_knob_until_it_takes_it_back);
    memcpy(hak_config, own_values, sizeof own_values);
    return check_report();
}
