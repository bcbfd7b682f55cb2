/*
 * report.c - HAKMEM_STATS=counters: the counters as text on stderr when the process ends.
 * What is 0 is left out. Reads all blocks; others may still be counting. Also the signal that
 * dumps the ring of events.
 */
#define _GNU_SOURCE
#include "front/front.h"

#include <signal.h>

#include "base/text.h"
#include "core/config.h"
#include "core/log.h"
#include "os/page.h"

static const char *const scalar_names[] = {
#define HAK_SCALAR(id, unit, kind, doc) #id,
#define HAK_CLASS(id, unit, kind, doc)
#include "tables/counters.def"
#undef HAK_SCALAR
#undef HAK_CLASS
};

static const struct {
    const char *name;
    uint16_t word, words;
} class_fields[] = {
#define HAK_SCALAR(id, unit, kind, doc)
#define HAK_CLASS(id, unit, kind, doc) {#id, HAK_CLASS_##id, HAK_WORDS_##kind},
#include "tables/counters.def"
#undef HAK_SCALAR
#undef HAK_CLASS
};

static uint64_t sum_scalar(size_t word)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < hak_page()->blocks_used; i++)
        sum += hak_load_relaxed(&hak_page_block(i)->scalar[word]);
    return sum;
}

static uint64_t sum_class(unsigned class, size_t word, size_t words)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < hak_page()->blocks_used; i++)
        for (size_t k = 0; k < words; k++)
            sum += hak_load_relaxed(&hak_page_block(i)->class[class][word + k]);
    return sum;
}

static void add_pair(struct hak_text *line, const char *name, uint64_t value)
{
    hak_text_add(line, " ");
    hak_text_add(line, name);
    hak_text_add(line, "=");
    hak_text_add_u64(line, value);
}

static void report_scalars(void)
{
    HAK_TEXT(line, 2048);
    hak_text_add(&line, "hakmem:");
    for (size_t i = 0; i < HAK_COUNT_OF(scalar_names); i++)
        if (sum_scalar(i) != 0)
            add_pair(&line, scalar_names[i], sum_scalar(i));
    hak_text_add(&line, "\n");
    hak_text_flush(&line);
}

static void report_class(unsigned class)
{
    HAK_TEXT(line, 2048);
    hak_text_add(&line, "hakmem: class ");
    hak_text_add_u64(&line, class);
    add_pair(&line, "size", hak_classes.size[class]);
    size_t named = line.length;
    for (size_t i = 0; i < HAK_COUNT_OF(class_fields); i++) {
        uint64_t value = sum_class(class, class_fields[i].word, class_fields[i].words);
        if (value != 0)
            add_pair(&line, class_fields[i].name, value);
    }
    if (line.length == named)
        return;
    hak_text_add(&line, "\n");
    hak_text_flush(&line);
}

__attribute__((destructor)) static void report_at_exit(void)
{
    if (hak_page() == NULL || !hak_knob(stats))
        return;
    report_scalars();
    for (unsigned class = 0; class < hak_classes.count; class++)
        report_class(class);
}

static void on_signal(int number)
{
    (void)number;
    hak_log_dump_ring();
}

/* A program with a handler of its own keeps it, whether it comes first or later. */
void hak_report_start(void)
{
    struct sigaction there;
    struct sigaction ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (hak_knob(trace_ring) && sigaction(SIGUSR2, NULL, &there) == 0 &&
        there.sa_handler == SIG_DFL)
        sigaction(SIGUSR2, &ours, NULL);
}
