/*
 * ace.c - the entry to Mid and Large: may a class serve, which pool does, what if neither.
 */
#include "mid/ace.h"

#include "core/codes.h"
#include "core/config.h"
#include "core/policy.h"
#include "core/probe.h"
#include "os/zone.h"

/* By the knob's W_MAX: not above so many bytes of class to a byte that is needed. */
static int is_within_w_max(unsigned class, size_t bytes)
{
    const struct hak_policy *policy = hak_policy_now();
    uint64_t permille =
        hak_class_is_mid(class) ? policy->w_max_mid_permille : policy->w_max_large_permille;
    return (uint64_t)hak_classes.size[class] * 1000 <= permille * bytes;
}

int hak_ace_fits(unsigned class, size_t bytes)
{
    return class < hak_classes.regular_count && !hak_ace_is_direct(class) &&
           is_within_w_max(class, bytes);
}

static int is_served(unsigned class)
{
    return hak_class_is_mid(class) ? hak_knob(mid_enable) != 0 : hak_knob(large_enable) != 0;
}

void hak_ace_failed(const struct hak_ace_request *request, unsigned reason)
{
    if (reason == HAK_ACE_FAIL_THRESHOLD)
        hak_count_any_scalar(request->counts, ace_threshold, 1);
    else if (reason == HAK_ACE_FAIL_EXHAUSTION)
        hak_count_any_scalar(request->counts, ace_exhaustion, 1);
    else
        hak_count_any_scalar(request->counts, ace_map_fail, 1);
    hak_probe_ace_fail(request->bytes, request->class, reason);
}

static void serve_direct(const struct hak_ace_request *request, struct hak_ace_answer *answer)
{
    answer->block = hak_ace_direct_alloc(request->class, request->keeps, &answer->zeroed);
    answer->path = HAK_PATH_SPAN;
    if (answer->block == NULL)
        hak_ace_failed(request, HAK_ACE_FAIL_MAP_FAIL);
}

static void serve_from_pool(const struct hak_ace_request *request, struct hak_ace_answer *answer)
{
    void *list = NULL, *larger = NULL;
    unsigned got = hak_ace_refill(request, &list, &larger);
    answer->path = HAK_PATH_ACE;
    if (larger != NULL) {
        answer->block = larger;
        answer->class = hak_zone.map[hak_unit_of(larger)] & HAK_CLASS_MASK;
    } else if (got != 0) {
        answer->block = list;
        answer->rest = *(void **)list;
        answer->rest_count = got - 1;
    }
}

int hkm_ace_alloc(const struct hak_ace_request *request, struct hak_ace_answer *answer)
{
    *answer = (struct hak_ace_answer){.class = request->class};
    int aligned_only =
        request->class >= hak_classes.regular_count && request->class != hak_classes.dynamic_mid;
    if (!is_served(request->class) ||
        (!aligned_only && !is_within_w_max(request->class, request->bytes))) {
        hak_ace_failed(request, HAK_ACE_FAIL_THRESHOLD);
        return 0;
    }
    if (hak_ace_is_direct(request->class))
        serve_direct(request, answer);
    else
        serve_from_pool(request, answer);
    return 1;
}
