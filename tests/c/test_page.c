/* os/page: the counters page as its readers see it, through the file. */
#include "os/page.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hak.h"

/* The memfd of this process, as a tool finds it; -1: there is none. */
static int find_page_fd(void) {
    DIR *dir = opendir("/proc/self/fd");
    int found = -1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, target, sizeof target - 1) > 0 &&
            strcmp(target, "/memfd:hakmem (deleted)") == 0)
            found = atoi(entry->d_name);
    }
    closedir(dir);
    return found;
}

/* A reader's view: the file mapped once more. */
static const char *map_file(int fd, size_t *bytes) {
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return NULL;
    *bytes = (size_t)status.st_size;
    const char *at = mmap(NULL, *bytes, PROT_READ, MAP_SHARED, fd, 0);
    return at != MAP_FAILED ? at : NULL;
}

/* The sum of a class word over all blocks, by the protocol of hakmem_abi.h. */
static uint64_t read_sum(const char *file, size_t file_bytes, unsigned c, int from, int to) {
    const struct hak_page_header *h = (const void *)file;
    for (;;) {
        uint64_t seq = hak_load_acquire(&h->retire_seq), sum = 0;
        uint32_t used = hak_load_acquire(&h->blocks_used);
        for (uint32_t i = 0; i < used; i++) {
            size_t at = h->blocks_offset + (size_t)i * h->block_bytes + h->scalar_words * 8 +
                        ((size_t)c * h->class_words + (size_t)from) * 8;
            if (at + 16 > file_bytes)
                break;
            if (from != to) { /* a pair: both words in one load */
                hak_two_words pair = *(const volatile hak_two_words *)(const void *)(file + at);
                sum += pair[0] + pair[1];
            } else {
                sum += hak_load_relaxed((const uint64_t *)(const void *)(file + at));
            }
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (seq % 2 == 0 && hak_load_relaxed(&h->retire_seq) == seq)
            return sum;
    }
}

static void the_page_is_a_memfd_far_from_the_programs_files_and_closed_on_exec(void) {
    int fd = find_page_fd();
    CHECK(fd >= 200);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void the_header_says_where_everything_is(void) {
    const struct hak_page_header *h = hak_page();
    if (!CHECK(h != NULL))
        return;
    CHECK_EQ(memcmp(h->magic, "HAKMEM\0", 8), 0);
    CHECK_EQ(h->abi_version, HAK_ABI_VERSION);
    CHECK_EQ(h->header_bytes, sizeof *h);
    CHECK_EQ(h->pid, getpid());
    CHECK_EQ(h->forked_from, 0);
    CHECK(h->start_ns <= hak_os_now_ns());
    CHECK_TEXT(h->version, hak_version());
    CHECK_EQ(h->class_count, hak_classes.count);
    CHECK_EQ(h->tiny_class_count, hak_classes.tiny_count);
    CHECK_EQ(h->knob_value_count, HAK_KNOB_VALUE_COUNT);
    CHECK_EQ(h->block_bytes, sizeof(struct hak_block));
    CHECK_EQ(h->blocks_offset % 4096, 0);
    CHECK(h->page_bytes >= h->blocks_offset + h->block_bytes);
    CHECK_EQ(h->mode, 2);
    CHECK_EQ(h->policy_version, hak_policy_now()->version);
}

static void the_file_carries_the_same_texts_as_the_library(void) {
    size_t bytes;
    const char *file = map_file(find_page_fd(), &bytes);
    if (!CHECK(file != NULL))
        return;
    const struct hak_page_header *h = (const void *)file;
    CHECK_EQ(bytes, h->page_bytes);
    CHECK_EQ(strcmp(file + h->knobs_text_offset, hak_describe_knobs()), 0);
    CHECK_EQ(strcmp(file + h->modes_text_offset, hak_describe_modes()), 0);
    CHECK_EQ(strcmp(file + h->counters_text_offset, hak_describe_counters()), 0);
    CHECK_EQ(strcmp(file + h->probes_text_offset, hak_describe_probes()), 0);
    CHECK_EQ(strcmp(file + h->codes_text_offset, hak_describe_codes()), 0);
    const struct hak_class_info *info = (const void *)(file + h->classes_offset);
    for (unsigned c = 0; c < h->class_count; c++)
        CHECK_EQ(info[c].size_bytes, hak_classes.size[c]);
    munmap((void *)file, bytes);
}

static void knob_values_are_shown_with_their_source(void) {
    size_t bytes;
    const char *file = map_file(find_page_fd(), &bytes);
    const struct hak_page_header *h = (const void *)file;
    const struct hak_knob_value *values = (const void *)(file + h->knob_values_offset);
    for (int i = 0; i < HAK_KNOB_VALUE_COUNT; i++)
        CHECK_EQ(values[i].value, hak_config[i].value);
    hak_config_set(HAK_KNOB_front_cap, 77);
    hak_page_show_knob(HAK_KNOB_front_cap);
    CHECK_EQ(values[HAK_KNOB_front_cap].value, 77);
    CHECK_EQ(values[HAK_KNOB_front_cap].source, HAK_FROM_LIVE);
    hak_config_set(HAK_KNOB_front_cap, 128);
    hak_page_show_policy(4711);
    CHECK_EQ(h->policy_version, 4711);
    hak_page_show_policy(hak_policy_now()->version);
    munmap((void *)file, bytes);
}

static void what_a_thread_counts_shows_in_the_file_at_once(void) {
    size_t bytes;
    const char *file = map_file(find_page_fd(), &bytes);
    unsigned c = hak_class_of(40);
    hak_free(hak_malloc(40));
    uint64_t pops = read_sum(file, bytes, c, HAK_CLASS_front_pops, HAK_CLASS_front_pops_last);
    for (int i = 0; i < 1000; i++)
        hak_free(hak_malloc(40));
    CHECK_EQ(read_sum(file, bytes, c, HAK_CLASS_front_pops, HAK_CLASS_front_pops_last),
             pops + 1000);
    munmap((void *)file, bytes);
}

/* ---- threads --------------------------------------------------------------------------- */

static void *count_some(void *unused) {
    (void)unused;
    for (int i = 0; i < 100; i++)
        hak_free(hak_malloc(56));
    return NULL;
}

static void the_counts_of_ended_threads_are_kept(void) {
    unsigned c = hak_class_of(56);
    int64_t pops = CLASS_COUNT(c, front_pops), started = COUNT(threads_started);
    int64_t ended = COUNT(threads_ended);
    for (int i = 0; i < 50; i++)
        run_thread(count_some, NULL);
    CHECK_EQ(CLASS_COUNT(c, front_pops), pops + 5000);
    CHECK_EQ(COUNT(threads_started), started + 50);
    CHECK_EQ(COUNT(threads_ended), ended + 50);
    CHECK(hak_page()->blocks_used <= 4); /* blocks are used again */
}

static uint32_t reader_stop;

/* Of a counter in one word: the two words of a pair change one after the other. */
static void *read_while_threads_end(void *backwards) {
    size_t bytes;
    const char *file = map_file(find_page_fd(), &bytes);
    unsigned c = hak_class_of(56);
    uint64_t last = 0;
    while (!hak_load_acquire(&reader_stop)) {
        uint64_t now = read_sum(file, bytes, c, HAK_CLASS_refilled, HAK_CLASS_refilled);
        if ((int64_t)(now - last) < 0)
            ++*(int *)backwards;
        last = now;
    }
    munmap((void *)file, bytes);
    return NULL;
}

static void a_sum_never_goes_backwards_while_threads_end(void) {
    int backwards = 0;
    int64_t refilled = CLASS_COUNT(hak_class_of(56), refilled);
    pthread_t reader;
    reader_stop = 0;
    run_thread(count_some, NULL);
    pthread_create(&reader, NULL, read_while_threads_end, &backwards);
    for (unsigned i = 0; i < rounds_of(300); i++)
        run_thread(count_some, NULL);
    hak_store_release(&reader_stop, 1);
    pthread_join(reader, NULL);
    CHECK(CLASS_COUNT(hak_class_of(56), refilled) >= refilled + rounds_of(300));
    CHECK_EQ(backwards, 0);
}

static pthread_barrier_t all_there;

static void *hold_a_block(void *unused) {
    (void)unused;
    hak_free(hak_malloc(56));
    pthread_barrier_wait(&all_there); /* all count at the same time */
    return NULL;
}

static void more_threads_make_the_file_longer_and_all_are_counted(void) {
    enum { MANY = 40 };
    pthread_t threads[MANY];
    uint64_t page_bytes = hak_page()->page_bytes;
    unsigned c = hak_class_of(56);
    int64_t pops = CLASS_COUNT(c, front_pops);
    pthread_barrier_init(&all_there, NULL, MANY);
    for (int i = 0; i < MANY; i++)
        pthread_create(&threads[i], NULL, hold_a_block, NULL);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    CHECK(hak_page()->blocks_used > MANY);
    CHECK(hak_page()->page_bytes > page_bytes);
    CHECK_EQ(CLASS_COUNT(c, front_pops), pops + MANY);
    size_t bytes;
    const char *file = map_file(find_page_fd(), &bytes);
    CHECK_EQ(bytes, hak_page()->page_bytes);
    CHECK_EQ(read_sum(file, bytes, c, HAK_CLASS_front_pops, HAK_CLASS_front_pops_last),
             pops + MANY);
    munmap((void *)file, bytes);
}

/* ---- fork -------------------------------------------------------------------------------- */

/* Runs the body in a forked child; true when the child says so. */
static bool child_agrees(bool (*body)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(body() ? 0 : 1);
    int status = -1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int64_t pops_at_fork;

static bool has_a_page_of_its_own(void) {
    size_t bytes;
    int fd = find_page_fd();
    const char *file = map_file(fd, &bytes);
    const struct hak_page_header *h = (const void *)file;
    unsigned c = hak_class_of(40);
    for (int i = 0; i < 10; i++)
        hak_free(hak_malloc(40));
    int64_t pops = (int64_t)read_sum(file, bytes, c, HAK_CLASS_front_pops,
                                     HAK_CLASS_front_pops_last);
    return fd >= 0 && h->pid == (uint32_t)getpid() && h->forked_from == (uint32_t)getppid() &&
           pops == pops_at_fork + 10 &&
           strcmp(file + h->codes_text_offset, hak_describe_codes()) == 0;
}

static void a_forked_child_counts_in_a_page_of_its_own(void) {
    unsigned c = hak_class_of(40);
    pops_at_fork = CLASS_COUNT(c, front_pops);
    CHECK(child_agrees(has_a_page_of_its_own));
    CHECK_EQ(CLASS_COUNT(c, front_pops), pops_at_fork);
    CHECK_EQ(hak_page()->pid, getpid());
}

static bool its_child_has_a_page_too(void) {
    pops_at_fork = CLASS_COUNT(hak_class_of(40), front_pops);
    return child_agrees(has_a_page_of_its_own);
}

static void a_child_of_a_child_counts_in_a_page_of_its_own(void) {
    CHECK(child_agrees(its_child_has_a_page_too));
}

/* A daemon closes all descriptors; its own files may then get our number. */
static bool closed_and_reused(void) {
    static char text[8];
    char path[] = "/tmp/hak-page-XXXXXX";
    int number = find_page_fd(), own = mkstemp(path);
    unlink(path);
    close(number);
    if (dup2(own, number) != number || write(number, "mine", 4) != 4)
        return false;
    pthread_t threads[40];
    pthread_barrier_init(&all_there, NULL, 40);
    for (int i = 0; i < 40; i++) /* the page wants to grow */
        pthread_create(&threads[i], NULL, hold_a_block, NULL);
    for (int i = 0; i < 40; i++)
        pthread_join(threads[i], NULL);
    struct stat status;
    bool whole = fstat(number, &status) == 0 && status.st_size == 4;
    if (fork() == 0)
        _exit(find_page_fd() >= 0 && fcntl(number, F_GETFD) >= 0
                  ? 0
                  : 1); /* a new page, own file open */
    int code = -1;
    wait(&code);
    return whole && code == 0 && pread(number, text, 4, 0) == 4 && memcmp(text, "mine", 4) == 0 &&
           fstat(number, &status) == 0 && status.st_size == 4;
}

static void a_program_that_closed_our_file_keeps_its_own(void) {
    CHECK(child_agrees(closed_and_reused));
}

int main(int argc, char **argv) {
    CHECK_MAIN(argc, argv);
    RUN(the_page_is_a_memfd_far_from_the_programs_files_and_closed_on_exec);
    RUN(the_header_says_where_everything_is);
    RUN(the_file_carries_the_same_texts_as_the_library);
    RUN(knob_values_are_shown_with_their_source);
    RUN(what_a_thread_counts_shows_in_the_file_at_once);
    RUN(the_counts_of_ended_threads_are_kept);
    RUN(a_sum_never_goes_backwards_while_threads_end);
    RUN(a_forked_child_counts_in_a_page_of_its_own);
    RUN(a_child_of_a_child_counts_in_a_page_of_its_own);
    RUN(a_program_that_closed_our_file_keeps_its_own);
    RUN(more_threads_make_the_file_longer_and_all_are_counted);
    return check_report();
}
