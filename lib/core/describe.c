/*
 * describe.c - the tables as text. Each X-macro table becomes one tab-separated
 * constant, so that the loaded library, the counters page and the pages in docs/ all
 * say the same. Reading it starts nothing.
 */
#include "base/base.h"

#include "core/abi.h"

#ifndef HAK_VERSION
#error "build with -DHAK_VERSION=\"...\""
#endif

#define HAK_KNOB(id, env, aliases, type, choices, unit, standard, min, max, scope, count, doc) \
    #id "\t" env "\t" aliases "\t" #type "\t" choices "\t" unit "\t" #standard "\t" #min \
    "\t" #max "\t" #scope "\t" #count "\t" doc "\n"
HAK_API const char *hak_describe_knobs(void)
{
    return "name\tenv\taliases\ttype\tchoices\tunit\tdefault\tmin\tmax\tscope\tcount\tdoc\n"
#include "tables/knobs.def"
        ;
}
#undef HAK_KNOB

#define HAK_MODE(mode, knob, value) #mode "\t" #knob "\t" #value "\n"
HAK_API const char *hak_describe_modes(void)
{
    return "mode\tknob\tvalue\n"
#include "tables/modes.def"
        ;
}
#undef HAK_MODE

#define HAK_SCALAR(id, unit, kind, doc) #id "\tscalar\t" #unit "\t" #kind "\t" doc "\n"
#define HAK_CLASS(id, unit, kind, doc) #id "\tclass\t" #unit "\t" #kind "\t" doc "\n"
HAK_API const char *hak_describe_counters(void)
{
    return "name\tshape\tunit\tkind\tdoc\n"
#include "tables/counters.def"
        ;
}
#undef HAK_SCALAR
#undef HAK_CLASS

#define HAK_PROBE_TEXT(provider, name, args, doc) #provider "\t" #name "\t" args "\t" doc "\n"
#define HAK_PROBE1(provider, name, a, doc) HAK_PROBE_TEXT(provider, name, #a, doc)
#define HAK_PROBE2(provider, name, a, b, doc) HAK_PROBE_TEXT(provider, name, #a " " #b, doc)
#define HAK_PROBE3(provider, name, a, b, c, doc) \
    HAK_PROBE_TEXT(provider, name, #a " " #b " " #c, doc)
#define HAK_PROBE4(provider, name, a, b, c, d, doc) \
    HAK_PROBE_TEXT(provider, name, #a " " #b " " #c " " #d, doc)
#define HAK_PROBE6(provider, name, a, b, c, d, e, f, doc) \
    HAK_PROBE_TEXT(provider, name, #a " " #b " " #c " " #d " " #e " " #f, doc)
HAK_API const char *hak_describe_probes(void)
{
    return "provider\tname\targs\tdoc\n"
#include "tables/probes.def"
        ;
}
#undef HAK_PROBE1
#undef HAK_PROBE2
#undef HAK_PROBE3
#undef HAK_PROBE4
#undef HAK_PROBE6

#define HAK_CODE(group, id, value, text, meaning) \
    #group "\t" #id "\t" #value "\t" text "\t" meaning "\n"
HAK_API const char *hak_describe_codes(void)
{
    return "group\tname\tvalue\ttext\tmeaning\n"
#include "tables/codes.def"
        ;
}
#undef HAK_CODE

HAK_API const char *hak_version(void)
{
    return HAK_VERSION;
}
