#define _GNU_SOURCE
#include "os/page.h"

#include "base/text.h"
#include "core/config.h"
#include "os/os.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Blocks are mapped by segments, so that a process pays for the threads it has. */
#define SEGMENT_BLOCKS 16
#define SEGMENT_BYTES (SEGMENT_BLOCKS * sizeof(struct hak_block))
#define SEGMENT_COUNT (HAK_BLOCK_CAPACITY / SEGMENT_BLOCKS)

static struct hak_block nobody; /* takes the counts of the time before the page */
struct hak_block *hak_process_block = &nobody;
struct hak_control *hak_page_control;

static struct {
    struct hak_page_header *header; /* head of the memfd: all that comes before the blocks */
    size_t head_bytes;
    int fd;                         /* -1: private memory; set before `header` */
    dev_t device;                   /* of the memfd: a program may close fd and reuse its number */
    ino_t inode;
    char *segments[SEGMENT_COUNT];
} page;

HAK_API const struct hak_page_header *hak_page(void)
{
    return page.header;
}

/* ---- the file ----------------------------------------------------------- */

/* Growing past RLIMIT_FSIZE would raise SIGXFSZ in a program that did nothing wrong. */
static int grow_file(int fd, size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
        return -EFBIG;
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : -errno;
}

/* Far from the numbers that programs expect for their own files. */
#define LOWEST_FD 200

static int open_file(size_t bytes)
{
    struct stat status;
    int low = memfd_create("hakmem", MFD_CLOEXEC);
    if (low < 0)
        return -1;
    int fd = fcntl(low, F_DUPFD_CLOEXEC, LOWEST_FD);
    if (fd < 0)
        fd = low;
    else
        close(low);
    if (grow_file(fd, bytes) != 0 || fstat(fd, &status) != 0) {
        close(fd); /* half a page would be worse than none */
        return -1;
    }
    page.device = status.st_dev;
    page.inode = status.st_ino;
    return fd;
}

/* The memfd, or -1 when the program has closed it: the number may be its own file now. */
static int own_file(void)
{
    struct stat status;
    if (page.fd < 0 || fstat(page.fd, &status) != 0 || status.st_dev != page.device ||
        status.st_ino != page.inode)
        return -1;
    return page.fd;
}

static void *map_part(int fd, size_t offset, size_t bytes, void *fixed)
{
    int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    flags |= fixed != NULL ? MAP_FIXED : 0;
    void *at = mmap(fixed, bytes, PROT_READ | PROT_WRITE, flags, fd, fd >= 0 ? (off_t)offset : 0);
    return at == MAP_FAILED ? NULL : at;
}

static size_t segment_offset(size_t segment)
{
    return page.head_bytes + segment * SEGMENT_BYTES;
}

static int map_segment(int fd, size_t segment)
{
    size_t offset = segment_offset(segment);
    page.segments[segment] = map_part(fd, offset, SEGMENT_BYTES, NULL);
    if (page.segments[segment] == NULL)
        return -ENOMEM;
    return 0;
}

static int add_segment(size_t segment)
{
    size_t end = segment_offset(segment) + SEGMENT_BYTES;
    int fd = own_file();
    if (fd >= 0 && grow_file(fd, end) != 0)
        fd = -1;
    if (map_segment(fd, segment) != 0)
        return -ENOMEM;
    if (fd >= 0)
        hak_store_release(&page.header->page_bytes, end);
    return 0;
}

/* ---- the head ----------------------------------------------------------- */

#define SITE_CAPACITY 256
#define TEXTS 5 /* one after the other, each with its zero byte */

struct head_plan {
    size_t text_offsets[TEXTS], values, classes, control, sites, bytes;
};

static const char *text_of(unsigned i)
{
    switch (i) {
    case 0: return hak_describe_knobs();
    case 1: return hak_describe_modes();
    case 2: return hak_describe_counters();
    case 3: return hak_describe_probes();
    default: return hak_describe_codes();
    }
}

/* The kernel maps so much of what is in the file around a page that is read for the first time. */
#define FAULT_AROUND_BYTES (64 * HAK_KIB)

/* Written words first, then texts: these go in by pwrite, and stay out of our RSS. Sites are looked
 * up, which is reading, so far behind the texts that these do not come along. */
static struct head_plan plan_head(uint32_t class_count)
{
    struct head_plan plan = {.sites = 0};
    size_t at = hak_align_up(sizeof(struct hak_page_header), 64);
    plan.control = at;
    at = hak_align_up(at + sizeof(struct hak_control), 64);
    plan.values = at;
    at = hak_align_up(at + HAK_KNOB_VALUE_COUNT * sizeof(struct hak_knob_value), 64);
    plan.classes = at;
    at += class_count * sizeof(struct hak_class_info);
    for (unsigned i = 0; i < TEXTS; i++) {
        plan.text_offsets[i] = at;
        at += hak_text_length(text_of(i)) + 1;
    }
    if (hak_knob(sites) != HAK_SITES_OFF) { /* memory that is not touched is not there */
        plan.sites = hak_align_up(at + FAULT_AROUND_BYTES, HAK_PAGE_BYTES);
        at = plan.sites + SITE_CAPACITY * sizeof(struct hak_site);
    }
    plan.bytes = hak_align_up(at, HAK_PAGE_BYTES);
    return plan;
}

/* The pages where texts lie, and what else is rarely read (lib/layout.ld; nowhere in a test). */
extern const char hak_rarely_read[] __attribute__((weak, visibility("hidden")));
extern const char hak_rarely_read_end[] __attribute__((weak, visibility("hidden")));

/* They are of the library's file, and come from there again when somebody reads them. */
static void let_go_of_texts(void)
{
    if (hak_rarely_read == NULL)
        return;
    uintptr_t start = hak_align_up((uintptr_t)hak_rarely_read, HAK_PAGE_BYTES);
    uintptr_t end = hak_align_up((uintptr_t)hak_rarely_read_end, HAK_PAGE_BYTES);
    (void)!hak_os.advise((void *)start, end - start, MADV_DONTNEED);
}

/* A text that is cut short ends in zero bytes: readers say that it is incomplete. */
static void write_texts(const struct head_plan *plan)
{
    struct iovec texts[TEXTS];
    for (unsigned i = 0; i < TEXTS; i++) {
        const char *text = text_of(i);
        texts[i] = (struct iovec){(void *)(uintptr_t)text, hak_text_length(text) + 1};
    }
    if (page.fd >= 0)
        (void)!pwritev(page.fd, texts, TEXTS, (off_t)plan->text_offsets[0]);
    let_go_of_texts();
}

static void copy_bytes(void *to, const void *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
}

static void fill_head(struct hak_page_header *h, const struct head_plan *plan,
                      const struct hak_class_info *classes, uint32_t class_count, uint32_t tiny)
{
    h->abi_version = HAK_ABI_VERSION;
    h->header_bytes = sizeof *h;
    h->pid = (uint32_t)getpid();
    h->start_ns = hak_os_now_ns();
    copy_bytes(h->version, hak_version(),
               hak_min(hak_text_length(hak_version()), sizeof h->version - 1));
    h->knobs_text_offset = plan->text_offsets[0];
    h->modes_text_offset = plan->text_offsets[1];
    h->counters_text_offset = plan->text_offsets[2];
    h->probes_text_offset = plan->text_offsets[3];
    h->codes_text_offset = plan->text_offsets[4];
    h->knob_values_offset = plan->values;
    h->knob_value_count = HAK_KNOB_VALUE_COUNT;
    h->class_capacity = HAK_CLASS_CAPACITY;
    h->classes_offset = plan->classes;
    h->class_count = class_count;
    h->tiny_class_count = tiny;
    h->blocks_offset = plan->bytes;
    h->block_bytes = sizeof(struct hak_block);
    h->block_capacity = HAK_BLOCK_CAPACITY;
    h->scalar_words = HAK_SCALAR_WORDS;
    h->class_words = HAK_CLASS_WORDS;
    h->blocks_used = 1;
    h->mode = (uint32_t)hak_knob(mode);
    h->control_offset = plan->control;
    h->sites_offset = plan->sites;
    h->site_capacity = plan->sites != 0 ? SITE_CAPACITY : 0;
    h->site_bytes = sizeof(struct hak_site);
    copy_bytes((char *)h + plan->values, hak_config, sizeof hak_config);
    copy_bytes((char *)h + plan->classes, classes, class_count * sizeof *classes);
}

static void stamp(struct hak_page_header *h)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    copy_bytes(h->magic, "HAKMEM\0", 8);
}

int hak_page_make(const struct hak_class_info *classes, uint32_t class_count, uint32_t tiny_count,
                  int visible)
{
    struct head_plan plan = plan_head(class_count);
    int fd = visible ? open_file(plan.bytes + SEGMENT_BYTES) : -1;
    page.head_bytes = plan.bytes;
    page.fd = fd;
    if (map_segment(fd, 0) != 0)
        return -ENOMEM;
    struct hak_page_header *header = map_part(fd, 0, plan.bytes, NULL);
    if (header == NULL)
        return -ENOMEM;
    fill_head(header, &plan, classes, class_count, tiny_count);
    header->page_bytes = segment_offset(1);
    write_texts(&plan);
    hak_process_block = (struct hak_block *)page.segments[0];
    stamp(header);
    page.header = header;
    if (fd >= 0)
        hak_page_control = (struct hak_control *)((char *)header + plan.control);
    return 0;
}

/* ---- blocks ------------------------------------------------------------- */

struct hak_block *hak_page_block(uint32_t index)
{
    size_t segment = index / SEGMENT_BLOCKS;
    if (page.header == NULL || index >= HAK_BLOCK_CAPACITY)
        return NULL;
    if (page.segments[segment] == NULL && add_segment(segment) != 0)
        return NULL;
    if (hak_load_relaxed(&page.header->blocks_used) <= index)
        hak_store_release(&page.header->blocks_used, index + 1);
    return (struct hak_block *)page.segments[segment] + index % SEGMENT_BLOCKS;
}

static void move_word(uint64_t *to, uint64_t *from)
{
    uint64_t value = hak_load_relaxed(from);
    if (value == 0) /* also keeps pages that were never touched untouched in block 0 */
        return;
    hak_add_relaxed(to, value);
    hak_store_relaxed(from, 0);
}

void hak_page_retire(struct hak_block *block, size_t classes)
{
    struct hak_block *sum = hak_process_block;
    hak_add_relaxed(&page.header->retire_seq, 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (size_t i = 0; i < HAK_SCALAR_WORDS; i++)
        move_word(&sum->scalar[i], &block->scalar[i]);
    for (size_t c = 0; c < classes; c++)
        for (size_t i = 0; i < HAK_CLASS_WORDS_USED; i++)
            move_word(&sum->class[c][i], &block->class[c][i]);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    hak_add_relaxed(&page.header->retire_seq, 1);
}

/* ---- fork --------------------------------------------------------------- */

/* Puts a private copy of [at, at + bytes) into the new file and maps it there. */
static int move_part(int fd, size_t offset, void *at, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t wrote = pwrite(fd, (char *)at + done, bytes - done, (off_t)(offset + done));
        if (wrote <= 0)
            return -EIO;
        done += (size_t)wrote;
    }
    return map_part(fd, offset, bytes, at) == NULL ? -ENOMEM : 0;
}

/* Without a file of its own the child must still not write into its parent's. */
static void go_private(void *at, size_t bytes)
{
    char *copy = map_part(-1, 0, bytes, NULL);
    if (copy == NULL)
        return;
    __builtin_memcpy(copy, at, bytes);
    mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

static void move_all(int fd)
{
    if (fd < 0 || move_part(fd, 0, page.header, page.head_bytes) != 0)
        go_private(page.header, page.head_bytes);
    for (size_t s = 0; s < SEGMENT_COUNT; s++)
        if (page.segments[s] != NULL &&
            (fd < 0 || move_part(fd, segment_offset(s), page.segments[s], SEGMENT_BYTES) != 0))
            go_private(page.segments[s], SEGMENT_BYTES);
}

void hak_page_refork(struct hak_block *own)
{
    if (page.header == NULL || page.fd < 0)
        return;
    int parents = own_file();
    int fd = open_file(page.header->page_bytes);
    move_all(fd);
    page.fd = fd;
    page.header->forked_from = page.header->pid;
    page.header->pid = (uint32_t)getpid();
    page.header->start_ns = hak_os_now_ns();
    page.header->retire_seq = 0;
    if (parents >= 0)
        close(parents);
    for (uint32_t i = 1; i < page.header->blocks_used; i++) {
        struct hak_block *block = hak_page_block(i);
        if (block != NULL && block != own)
            hak_page_retire(block, page.header->class_count);
    }
}

struct hak_site *hak_page_sites(uint32_t *capacity, uint64_t **lost)
{
    if (page.header == NULL || page.header->sites_offset == 0)
        return NULL;
    *capacity = page.header->site_capacity;
    *lost = &page.header->sites_lost;
    return (struct hak_site *)((char *)page.header + page.header->sites_offset);
}

/* ---- changes ------------------------------------------------------------ */

void hak_page_show_knob(uint32_t value_index)
{
    if (page.header == NULL)
        return;
    char *values = (char *)page.header + page.header->knob_values_offset;
    struct hak_knob_value *shown = (struct hak_knob_value *)values + value_index;
    hak_store_relaxed(&shown->source, hak_config[value_index].source);
    hak_store_relaxed(&shown->flags, hak_config[value_index].flags);
    hak_store_release(&shown->value, hak_config[value_index].value);
}

void hak_page_show_class(uint32_t class, uint32_t size_bytes)
{
    if (page.header == NULL)
        return;
    struct hak_class_info *shown =
        (struct hak_class_info *)((char *)page.header + page.header->classes_offset) + class;
    hak_store_relaxed(&shown->size_bytes, size_bytes);
}

void hak_page_show_policy(uint64_t version)
{
    if (page.header != NULL)
        hak_store_release(&page.header->policy_version, version);
}
