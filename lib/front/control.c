/* Requests of tools, and publication: see control.h. */
#include "front/control.h"

#include "base/text.h"
#include "core/config.h"
#include "core/policy.h"
#include "front/deal.h"
#include "slab/sizeclass.h"

static uint32_t publishing; /* 1 while somebody changes what the next snapshot is made of */

static void tell_refused(void)
{
    HAK_TEXT(line, 128);
    hak_text_add(&line, "hakmem: HAKMEM_MID_DYN1=");
    hak_text_add_i64(&line, hak_knob(mid_dyn1));
    hak_text_add(&line, ": above 2048 up to 32768, and only one size in a process; as before\n");
    hak_text_flush(&line);
}

/* A size that is refused leaves the class, and the knob, as they were. */
static void set_dynamic_class(void)
{
    unsigned class = hak_classes.dynamic_mid;
    if (hak_classes_set_dynamic(&hak_classes, (size_t)hak_knob(mid_dyn1))) {
        hak_page_show_class(class, hak_classes.size[class]);
        return;
    }
    tell_refused();
    hak_config[HAK_KNOB_mid_dyn1].value = hak_classes.dynamic_is_on ? hak_classes.size[class] : 0;
    hak_page_show_knob(HAK_KNOB_mid_dyn1);
}

/* While requests are dealt out, none of them may be served by its class without a look. */
static uint64_t publish(void)
{
    uint64_t version =
        hak_policy_publish(hak_classes.size, hak_classes.tiny_count, hak_classes.count);
    size_t threshold = (size_t)hak_knob(mmap_threshold);
    if (hak_policy_deals(hak_policy_now()))
        threshold = hak_deal_threshold(0);
    hak_classes_set_threshold(&hak_classes, threshold);
    set_dynamic_class();
    hak_page_show_policy(version);
    return version;
}

int hak_publish_begin(void)
{
    return hak_exchange_acquire(&publishing, 1) == 0;
}

static void show_knobs(void)
{
    for (uint32_t i = 0; i < HAK_KNOB_VALUE_COUNT; i++)
        hak_page_show_knob(i);
}

uint64_t hak_publish_end(void)
{
    show_knobs();
    uint64_t version = publish();
    hak_store_release(&publishing, 0);
    return version;
}

void hak_publish_cancel(void)
{
    hak_store_release(&publishing, 0);
}

static int reset_all(void)
{
    for (uint32_t i = 0; i < HAK_KNOB_VALUE_COUNT; i++)
        hak_config_reset(i); /* boot knobs stay as they are */
    return 0;
}

static int change(const struct hak_control *asked)
{
    uint32_t index = asked->knob_value_index;
    if (asked->reset && index == HAK_CONTROL_ALL)
        return reset_all();
    if (index >= HAK_KNOB_VALUE_COUNT)
        return -ENOENT;
    if (index == HAK_KNOB_mid_dyn1 && !asked->reset &&
        !hak_classes_takes_dynamic(&hak_classes, (size_t)asked->value))
        return -ERANGE;
    return asked->reset ? hak_config_reset(index) : hak_config_set(index, asked->value);
}

static void tell(const struct hak_control *asked, int64_t before, int status)
{
    uint32_t index = asked->knob_value_index;
    int64_t after = asked->value;
    if (asked->reset && index < HAK_KNOB_VALUE_COUNT)
        after = hak_config[index].value;
    hak_config_tell(index, before, after, status, asked->writer_pid);
}

/* The record is read once: its writer may change it under our eyes. */
static void answer(struct hak_control *page, uint64_t request)
{
    struct hak_control asked = *(volatile struct hak_control *)page;
    uint32_t index = asked.knob_value_index;
    int64_t before = index < HAK_KNOB_VALUE_COUNT ? hak_config[index].value : 0;
    int status = change(&asked);
    tell(&asked, before, status);
    show_knobs();
    hak_store_relaxed(&page->status, status);
    hak_store_relaxed(&page->version, publish());
    hak_store_release(&page->answered, request); /* before others may publish again */
    hak_publish_cancel();
}

HAK_COLD void hak_control_answer(void)
{
    int saved = errno;
    struct hak_control *page = hak_page_control;
    if (page == NULL || !hak_publish_begin())
        return;
    uint64_t request = hak_load_acquire(&page->request);
    if (request != page->answered)
        answer(page, request);
    else
        hak_publish_cancel();
    errno = saved;
}

void hak_control_start(void)
{
    publish();
}

/* The thread that was publishing may be gone. What it had changed is published now. */
void hak_control_fork_child(void)
{
    if (hak_load_relaxed(&publishing))
        hak_publish_end();
    if (hak_page_control != NULL) /* a request was the parent's, not ours */
        hak_page_control->request = hak_page_control->answered;
}
