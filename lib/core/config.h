/*
 * config.h - the effective value of every knob: mode -> env -> range check -> values.
 * Owner: the process. hak_config_load() runs once, before any other thread allocates;
 * afterwards values are read-only, but for live knobs, which hak_config_set() changes
 * under its caller's lock. Slow paths read the policy snapshot, not this.
 */
#ifndef HAK_CONFIG_H
#define HAK_CONFIG_H

#include "base/base.h"
#include "core/abi.h"

/* The first value of each knob; an indexed knob has `count` of them. */
enum hak_knob_index {
#define HAK_KNOB(id, env, aliases, type, choices, unit, standard, min, max, scope, count, doc) \
    HAK_KNOB_##id, HAK_KNOB_##id##_last = HAK_KNOB_##id + (count)-1,
#include "tables/knobs.def"
#undef HAK_KNOB
    HAK_KNOB_VALUE_COUNT
};

enum hak_knob_source { HAK_FROM_DEFAULT, HAK_FROM_MODE, HAK_FROM_ENV, HAK_FROM_LIVE };

extern struct hak_knob_value hak_config[HAK_KNOB_VALUE_COUNT];

#define hak_knob(id) (hak_config[HAK_KNOB_##id].value)
#define hak_knob_at(id, index) (hak_config[HAK_KNOB_##id + (index)].value)

HAK_INLINE double hak_float_of(int64_t bits)
{
    double value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

#define hak_knob_float(id) hak_float_of(hak_knob(id))

/* The choices of knobs that several rooms ask for, in the table's order. */
enum { HAK_LEARN_FROZEN, HAK_LEARN_LEARN, HAK_LEARN_OFF };
enum { HAK_LOG_OFF, HAK_LOG_WARNINGS, HAK_LOG_ON };
enum { HAK_SITES_OFF, HAK_SITES_SAMPLED, HAK_SITES_ON };

/* Reads the environment; complains on stderr, one line per bad or unknown name. */
void hak_config_load(char **environment);

/* What hak_knob_value.flags say. */
enum { HAK_VALUE_REFUSED = 1, HAK_VALUE_LEARNED = 2 };

/* Sets a live knob's value by its index. Returns 0, -ENOENT, -EPERM (a boot knob) or
 * -ERANGE. The caller publishes a new policy. */
int hak_config_set(uint32_t value_index, int64_t value);

/* The same for the learner, which leaves alone what somebody has set: -EBUSY. */
int hak_config_learn(uint32_t value_index, int64_t value);

/* Set by somebody: in the environment, or by a tool since. It is theirs, not the learner's. */
HAK_INLINE int hak_config_is_pinned(uint32_t value_index)
{
    const struct hak_knob_value *slot = &hak_config[value_index];
    return slot->source == HAK_FROM_ENV ||
           (slot->source == HAK_FROM_LIVE && !(slot->flags & HAK_VALUE_LEARNED));
}

#define hak_knob_is_pinned(id) hak_config_is_pinned(HAK_KNOB_##id)

/* Takes a live knob back to what it was at the start, source and all. Returns 0, -ENOENT
 * or -EPERM. The caller publishes a new policy. */
int hak_config_reset(uint32_t value_index);

/* Writes one line on stderr about a change that process `pid` has asked for. */
void hak_config_tell(uint32_t value_index, int64_t before, int64_t asked, int status, uint32_t pid);

#endif
