#include "core/config.h"

#include "base/text.h"

struct hak_knob_value hak_config[HAK_KNOB_VALUE_COUNT];

static struct hak_knob_value at_boot[HAK_KNOB_VALUE_COUNT]; /* what a reset goes back to */

enum knob_type { TYPE_bool, TYPE_int, TYPE_enum, TYPE_float };
enum knob_scope { SCOPE_boot, SCOPE_live };

struct knob {
    const char *env;     /* canonical name; an indexed knob's ends in <n> */
    const char *aliases; /* older names, separated by commas */
    const char *choices; /* of an enum, separated by | */
    double standard, min, max;
    uint16_t first, count;
    uint8_t type, scope;
};

static const struct knob knobs[] = {
#define HAK_KNOB(id, env, aliases, type, choices, unit, standard, min, max, scope, count, doc) \
    {env, aliases, choices, standard, min, max, HAK_KNOB_##id, count, TYPE_##type, SCOPE_##scope},
#include "tables/knobs.def"
#undef HAK_KNOB
};

struct mode_value {
    const char *mode;
    uint16_t knob;
    double value;
};

static const struct mode_value mode_values[] = {
#define HAK_MODE(mode, knob, value) {#mode, HAK_KNOB_##knob, value},
#include "tables/modes.def"
#undef HAK_MODE
};

static int64_t bits_of(const struct knob *knob, double value)
{
    int64_t bits = (int64_t)value;
    if (knob->type == TYPE_float)
        __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double value_of(const struct knob *knob, int64_t bits)
{
    double value = (double)bits;
    if (knob->type == TYPE_float)
        __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- names -------------------------------------------------------------- */

/* Does `name` (up to '=') spell `pattern` (up to ',' or its end)? An "<n>" at the
 * pattern's end takes a number below `count`. Returns the index, or -1. */
static int match_name(const char *name, const char *pattern, unsigned count)
{
    while (*pattern != '\0' && *pattern != ',' && *pattern != '<') {
        if (*name != *pattern)
            return -1;
        name++, pattern++;
    }
    if (*pattern != '<')
        return *name == '=' ? 0 : -1;
    unsigned index = 0;
    const char *digits = name;
    for (; *name >= '0' && *name <= '9' && index < count; name++)
        index = index * 10 + (unsigned)(*name - '0');
    return name != digits && *name == '=' && index < count ? (int)index : -1;
}

static int match_alias(const char *name, const struct knob *knob, int *opposite)
{
    for (const char *alias = knob->aliases; *alias != '\0';) {
        *opposite = *alias == '!';
        int index = match_name(name, alias + *opposite, knob->count);
        if (index >= 0)
            return index;
        while (*alias != '\0' && *alias++ != ',')
            ;
    }
    return -1;
}

/* Length of the choice at `choice`. */
static size_t choice_length(const char *choice)
{
    size_t n = 0;
    while (choice[n] != '\0' && choice[n] != '|')
        n++;
    return n;
}

static int match_choice(const char *choices, const char *text)
{
    size_t length = hak_text_length(text);
    for (int index = 0;; index++) {
        size_t n = choice_length(choices);
        if (n == length && hak_text_equal_n(choices, text, n))
            return index;
        if (choices[n] == '\0')
            return -1;
        choices += n + 1;
    }
}

/* ---- complaints --------------------------------------------------------- */

static void add_name(struct hak_text *line, const char *name)
{
    size_t n = 0;
    while (name[n] != '=' && n < 64)
        n++;
    hak_text_add_n(line, name, n);
}

static void add_value(struct hak_text *line, const struct knob *knob, double value)
{
    if (knob->type == TYPE_enum) {
        const char *choice = knob->choices;
        for (int skip = (int)value; skip > 0; skip--)
            choice += choice_length(choice) + 1;
        hak_text_add_n(line, choice, choice_length(choice));
    } else {
        hak_text_add_double(line, value);
    }
}

static void add_allowed(struct hak_text *line, const struct knob *knob)
{
    if (knob->type == TYPE_enum) {
        hak_text_add(line, knob->choices);
        return;
    }
    if (knob->type == TYPE_bool)
        hak_text_add(line, "0 or 1 (off, on, no, yes)");
    else {
        hak_text_add_double(line, knob->min);
        hak_text_add(line, "..");
        hak_text_add_double(line, knob->max);
    }
}

static void complain(const struct knob *knob, const char *name, const char *text, const char *why,
                     double used)
{
    HAK_TEXT(line, 512);
    hak_text_add(&line, "hakmem: ");
    add_name(&line, name);
    hak_text_add(&line, "=");
    hak_text_add_printable(&line, text, 60);
    hak_text_add(&line, why);
    add_allowed(&line, knob);
    hak_text_add(&line, "; using ");
    add_value(&line, knob, used);
    hak_text_add(&line, "\n");
    hak_text_flush(&line);
}

static void tell_alias(const struct knob *knob, const char *name, int opposite)
{
    HAK_TEXT(line, 256);
    hak_text_add(&line, "hakmem: ");
    add_name(&line, name);
    hak_text_add(&line, " is an old name, and works; ");
    hak_text_add(&line, opposite ? "it is the opposite of " : "the knob is ");
    hak_text_add(&line, knob->env);
    hak_text_add(&line, "\n");
    hak_text_flush(&line);
}

static void tell_unknown(const char *name)
{
    HAK_TEXT(line, 256);
    hak_text_add(&line, "hakmem: ");
    add_name(&line, name);
    hak_text_add(&line, ": no such knob, ignored; `hakmem knobs` lists them\n");
    hak_text_flush(&line);
}

/* ---- values ------------------------------------------------------------- */

static int parse_bool(const char *text, double *value)
{
    static const char words[] = "0|off|no|false|1|on|yes|true";
    int index = match_choice(words, text);
    *value = index >= 4;
    return index < 0 ? -EINVAL : 0;
}

static int parse_value(const struct knob *knob, const char *text, double *value)
{
    int64_t whole = 0;
    int error;
    if (knob->type == TYPE_bool)
        return parse_bool(text, value);
    if (knob->type == TYPE_float)
        return hak_text_parse_double(text, value);
    int choice = knob->type == TYPE_enum ? match_choice(knob->choices, text) : -1;
    if (choice >= 0) {
        *value = choice;
        return 0;
    }
    error = hak_text_parse_i64(text, &whole);
    *value = (double)whole;
    return error;
}

static const char *find_value(const char *variable)
{
    while (*variable != '\0' && *variable != '=')
        variable++;
    return *variable == '=' ? variable + 1 : NULL;
}

static const struct knob yes_or_no = {.env = "", .aliases = "", .choices = "", .max = 1};

/* The older name said the opposite: DISABLE_X=1 is X=0, or the choice "off" of several. */
static void take_opposite(const struct knob *knob, const char *variable, const char *text)
{
    struct hak_knob_value *slot = &hak_config[knob->first];
    double yes = 0;
    if (parse_bool(text, &yes) != 0) {
        double now = knob->type == TYPE_bool ? 1 - (double)slot->value : 0;
        complain(&yes_or_no, variable, text, ": not understood; allowed is ", now);
        slot->flags |= HAK_VALUE_REFUSED;
    } else if (knob->type == TYPE_bool || yes != 0) {
        slot->value = knob->type == TYPE_bool ? yes == 0 : match_choice(knob->choices, "off");
        slot->source = HAK_FROM_ENV;
    }
}

static void take_env(const struct knob *knob, int index, const char *variable)
{
    struct hak_knob_value *slot = &hak_config[knob->first + index];
    const char *text = find_value(variable);
    double value = 0;
    int error = parse_value(knob, text, &value);
    if (error == -EINVAL) {
        complain(knob, variable, text, ": not understood; allowed is ",
                 value_of(knob, slot->value));
        slot->flags |= HAK_VALUE_REFUSED;
        return;
    }
    if (error == 0 && value >= knob->min && value <= knob->max) {
        slot->value = bits_of(knob, value);
        slot->source = HAK_FROM_ENV;
        return;
    }
    int below = error == -ERANGE ? *text == '-' : value < knob->min;
    value = below ? knob->min : knob->max;
    if (knob->type == TYPE_enum) /* a number past the last choice says nothing */
        value = value_of(knob, slot->value);
    complain(knob, variable, text, ": outside ", value);
    slot->value = bits_of(knob, value);
    slot->source = HAK_FROM_ENV;
    slot->flags |= HAK_VALUE_REFUSED;
}

static int is_ours(const char *variable)
{
    return hak_text_equal_n(variable, "HAKMEM_", 7) ||
           hak_text_equal_n(variable, "HAKO_HAKMEM_", 12);
}

static void take_alias(const struct knob *knob, int index, const char *variable, int opposite)
{
    tell_alias(knob, variable, opposite);
    if (opposite)
        take_opposite(knob, variable, find_value(variable));
    else
        take_env(knob, index, variable);
}

enum env_pass { PASS_MODE, PASS_ALIASES, PASS_NAMES };

static void read_variable(const char *variable, enum env_pass pass)
{
    for (size_t i = 0; i < HAK_COUNT_OF(knobs); i++) {
        const struct knob *knob = &knobs[i];
        int index = match_name(variable, knob->env, knob->count);
        if (index >= 0) {
            if ((knob->first == HAK_KNOB_mode) == (pass == PASS_MODE) && pass != PASS_ALIASES)
                take_env(knob, index, variable);
            return;
        }
        int opposite = 0;
        index = match_alias(variable, knob, &opposite);
        if (index >= 0) {
            if (pass == PASS_ALIASES)
                take_alias(knob, index, variable, opposite);
            return;
        }
    }
    if (pass == PASS_NAMES)
        tell_unknown(variable);
}

/* A canonical name wins over its aliases, whatever their order in the environment. */
static void read_environment(char **environment, enum env_pass pass)
{
    for (char **variable = environment; *variable != NULL; variable++)
        if (is_ours(*variable) && find_value(*variable) != NULL)
            read_variable(*variable, pass);
}

static void take_mode(void)
{
    const struct knob *mode = &knobs[0];
    const char *name = mode->choices;
    for (int64_t skip = hak_knob(mode); skip > 0; skip--)
        name += choice_length(name) + 1;
    size_t length = choice_length(name);
    for (size_t i = 0; i < HAK_COUNT_OF(mode_values); i++) {
        const struct mode_value *row = &mode_values[i];
        if (hak_text_length(row->mode) != length || !hak_text_equal_n(row->mode, name, length))
            continue;
        for (size_t k = 0; k < HAK_COUNT_OF(knobs); k++)
            if (knobs[k].first == row->knob)
                hak_config[row->knob].value = bits_of(&knobs[k], row->value);
        hak_config[row->knob].source = HAK_FROM_MODE;
    }
}

void hak_config_load(char **environment)
{
    for (size_t k = 0; k < HAK_COUNT_OF(knobs); k++)
        for (unsigned i = 0; i < knobs[k].count; i++)
            hak_config[knobs[k].first + i].value = bits_of(&knobs[k], knobs[k].standard);
#ifndef HAK_BENCH_MINIMAL
    read_environment(environment, PASS_MODE);
    take_mode();
    read_environment(environment, PASS_ALIASES);
    read_environment(environment, PASS_NAMES);
#else
    (void)environment;
    (void)read_environment;
    (void)take_mode;
#endif
    __builtin_memcpy(at_boot, hak_config, sizeof at_boot);
}

/* ---- live ------------------------------------------------------------------- */

static const struct knob *knob_at(uint32_t value_index)
{
    for (size_t k = 0; k < HAK_COUNT_OF(knobs); k++)
        if (value_index >= knobs[k].first &&
            value_index < (uint32_t)knobs[k].first + knobs[k].count)
            return &knobs[k];
    return NULL;
}

int hak_config_set(uint32_t value_index, int64_t bits)
{
    const struct knob *knob = knob_at(value_index);
    if (knob == NULL)
        return -ENOENT;
    double value = value_of(knob, bits);
    if (knob->scope != SCOPE_live)
        return -EPERM;
    if (!(value >= knob->min && value <= knob->max))
        return -ERANGE;
    hak_config[value_index].value = bits;
    hak_config[value_index].source = HAK_FROM_LIVE;
    hak_config[value_index].flags &= ~(uint32_t)HAK_VALUE_LEARNED;
    return 0;
}

int hak_config_learn(uint32_t value_index, int64_t bits)
{
    if (value_index < HAK_KNOB_VALUE_COUNT && hak_config_is_pinned(value_index))
        return -EBUSY;
    int status = hak_config_set(value_index, bits);
    if (status == 0)
        hak_config[value_index].flags |= HAK_VALUE_LEARNED;
    return status;
}

int hak_config_reset(uint32_t value_index)
{
    const struct knob *knob = knob_at(value_index);
    if (knob == NULL)
        return -ENOENT;
    if (knob->scope != SCOPE_live)
        return -EPERM;
    hak_config[value_index] = at_boot[value_index];
    return 0;
}

static void add_bits(struct hak_text *line, const struct knob *knob, int64_t bits)
{
    double value = value_of(knob, bits);
    if (knob->type == TYPE_enum && !(value >= knob->min && value <= knob->max))
        hak_text_add_i64(line, bits);
    else
        add_value(line, knob, value);
}

static void add_env(struct hak_text *line, const struct knob *knob, uint32_t value_index)
{
    size_t length = hak_text_length(knob->env);
    hak_text_add_n(line, knob->env, knob->count > 1 ? length - 3 : length); /* without <n> */
    if (knob->count > 1)
        hak_text_add_u64(line, value_index - knob->first);
}

void hak_config_tell(uint32_t value_index, int64_t before, int64_t asked, int status, uint32_t pid)
{
    HAK_TEXT(line, 256);
    const struct knob *knob = knob_at(value_index);
    hak_text_add(&line, "hakmem: ");
    if (knob == NULL) {
        hak_text_add(&line, status == 0 ? "every live knob as at the start" : "a change");
    } else {
        add_env(&line, knob, value_index);
        hak_text_add(&line, ": ");
        add_bits(&line, knob, before);
        hak_text_add(&line, " -> ");
        add_bits(&line, knob, asked);
    }
    hak_text_add(&line, ", asked for by process ");
    hak_text_add_u64(&line, pid);
    hak_text_add(&line, status == 0        ? ": taken\n"
                        : status == -EPERM  ? ": refused, it is read at the start only\n"
                        : status == -ERANGE ? ": refused, outside its range\n"
                                            : ": refused, there is no such knob\n");
    hak_text_flush(&line);
}
