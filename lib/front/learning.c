/* The learner thread: see learning.h. */
#define _GNU_SOURCE
#include "front/learning.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "core/codes.h"
#include "core/config.h"
#include "core/policy.h"
#include "core/probe.h"
#include "front/control.h"
#include "front/deal.h"
#include "front/nested.h"
#include "front/window.h"
#include "learn/learner.h"
#include "os/lock.h"
#include "os/os.h"
#include "slab/sizeclass.h"

#define STACK_BYTES ((size_t)256 * HAK_KIB)
/* A tool waits for its answer, and the last thread for its end, no longer than this. */
#define NAP_NS UINT64_C(100000000)

_Static_assert((int)HAK_LEARNING_CANARY == (int)HAK_LIFECYCLE_CANARY, "codes are the states");

static struct {
    struct hak_lock lock; /* held while a window is worked on: a fork waits for its end */
    uint32_t started;     /* the thread is there, or was refused */
    uint32_t ready;       /* learner holds a state; a forked child goes on from it */
    struct hak_learner learner;
    struct hak_trials trials;
    uint32_t shown[HAK_TRIALS]; /* values that were put in force last */
} learning;

/* ---- shown to others ---------------------------------------------------------------- */

static void show(uint32_t word, uint64_t value)
{
#ifndef HAK_BENCH_MINIMAL
    hak_store_relaxed(&hak_process_block->scalar[word], value);
#else
    (void)word, (void)value;
#endif
}

static void show_learner(const struct hak_learner *l)
{
    const struct hak_lifecycle *life = &l->tuner.lifecycle;
    show(HAK_SCALAR_learn_state, (uint64_t)life->state);
    uint32_t pinned = hak_learner_arm_of((uint64_t)hak_knob(mmap_threshold));
    show(HAK_SCALAR_learn_arm, l->config.deals ? life->incumbent : pinned);
    show(HAK_SCALAR_learn_candidate, l->config.deals ? life->candidate : pinned);
    show(HAK_SCALAR_learn_windows, l->windows);
    show(HAK_SCALAR_learn_samples, l->samples);
    show(HAK_SCALAR_learn_lost, hak_deal_lost());
    show(HAK_SCALAR_learn_confirmed, life->confirmed);
    show(HAK_SCALAR_learn_rolled_back, life->rolled_back);
    for (uint32_t arm = 0; arm < HAK_LEARNER_ARMS; arm++) {
        show(HAK_SCALAR_elo_rating_0 + arm, (uint64_t)(l->tuner.elo.rating[arm] + 0.5));
        show(HAK_SCALAR_arm_p99_0 + arm, l->p99_ns[arm]);
    }
}

void hak_learning_show_rest(void)
{
    int off = hak_knob(learn) == HAK_LEARN_OFF;
    show(HAK_SCALAR_learn_state, off ? HAK_LEARNING_OFF : HAK_LIFECYCLE_FROZEN);
    show(HAK_SCALAR_learn_arm, hak_learner_arm_of((uint64_t)hak_knob(mmap_threshold)));
    show(HAK_SCALAR_learn_candidate, hak_learner_arm_of((uint64_t)hak_knob(mmap_threshold)));
    show(HAK_SCALAR_drain_permille, hak_policy_now()->drain_permille);
}

/* ---- a window ------------------------------------------------------------------------- */

static struct hak_learner_config configured(void)
{
    struct hak_learner_config config = hak_learner_config_default();
    config.tuner.min_samples = (uint64_t)hak_knob(learn_min_samples);
    config.tuner.lifecycle.freeze_after_ns = (uint64_t)hak_knob(freeze_sec) * 1000000000u;
    config.tuner.lifecycle.canary_fraction = hak_knob_float(canary_frac);
    config.ace_windows = (uint32_t)hak_knob(ace_windows);
    return config;
}

/* ---- trials ----------------------------------------------------------------------------- */

static const uint32_t trial_knobs[HAK_TRIALS] = {HAK_KNOB_w_max_mid, HAK_KNOB_w_max_large,
                                                 HAK_KNOB_mid_dyn1, HAK_KNOB_realloc_slack};

/* Bytes, or permille of a float. */
static uint32_t trial_value_in_force(uint32_t which)
{
    int64_t bits = hak_config[trial_knobs[which]].value;
    return which == HAK_TRIAL_DYN1 ? (uint32_t)bits : (uint32_t)(hak_float_of(bits) * 1000 + 0.5);
}

static void begin_trials(struct hak_trials *trials)
{
    struct hak_trials_config config = hak_trials_config_default();
    config.min_requests = (uint64_t)hak_knob(learn_min_samples);
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        learning.shown[i] = trial_value_in_force(i);
    hak_trials_init(trials, &config, learning.shown);
    for (uint32_t i = 0; i < HAK_TRIALS; i++)
        if (hak_config_is_pinned(trial_knobs[i]))
            hak_trials_place(trials, (enum hak_trial)i, learning.shown[i], true);
}

/* What a tool has set or taken back since is where the walk stands, or rests. */
static void follow_tools(struct hak_trials *trials)
{
    for (uint32_t i = 0; i < HAK_TRIALS; i++) {
        uint32_t value = trial_value_in_force(i);
        bool pinned = hak_config_is_pinned(trial_knobs[i]);
        if (pinned == trials->pinned[i] && value == learning.shown[i])
            continue;
        learning.shown[i] = value;
        hak_trials_place(trials, (enum hak_trial)i, value, pinned);
    }
}

static void offer_dyn1(struct hak_trials *trials)
{
    uint32_t bytes = hak_window_choose_dyn1().size_bytes;
    if (bytes != 0 && hak_classes_takes_dynamic(&hak_classes, bytes))
        hak_trials_offer(trials, bytes);
}

static int64_t bits_of_permille(uint32_t permille)
{
    double value = permille / 1000.0;
    int64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Under hak_publish_begin(). */
static uint32_t put_trials_in_force(const struct hak_trials *t)
{
    uint32_t changes = 0;
    for (uint32_t i = 0; i < HAK_TRIALS; i++) {
        uint32_t value = hak_trials_value(t, (enum hak_trial)i);
        int64_t bits = i == HAK_TRIAL_DYN1 ? (int64_t)value : bits_of_permille(value);
        if (learning.shown[i] == value || hak_config_learn(trial_knobs[i], bits) != 0)
            continue;
        learning.shown[i] = value;
        changes++;
    }
    return changes;
}

/* What somebody has set is theirs: the learner lets go of it. */
static void follow_pins(struct hak_learner *l)
{
    l->config.deals =
        hak_knob(large_enable) && hak_knob(large_mmap) && !hak_knob_is_pinned(mmap_threshold);
    l->config.moves_fronts = hak_knob(ace_enabled) && hak_knob(front_enable) &&
                             !hak_knob_is_pinned(front_cap) &&
                             !hak_knob_is_pinned(front_cap_multiplier);
}

static void follow_live_knobs(struct hak_learner *l)
{
    follow_pins(l);
    l->config.tuner.min_samples = (uint64_t)hak_knob(learn_min_samples);
    l->tuner.config.min_samples = l->config.tuner.min_samples;
    l->config.ace_windows = (uint32_t)hak_knob(ace_windows);
}

static void begin(struct hak_learner *l)
{
    struct hak_learner_config config = configured();
    uint64_t start = hak_knob_is_pinned(mmap_threshold) ? (uint64_t)hak_knob(mmap_threshold)
                                                        : (uint64_t)hak_knob(learn_start);
    uint32_t caps[HAK_CLASS_CAPACITY];
    for (unsigned class = 0; class < hak_classes.tiny_count; class++)
        caps[class] = hak_policy_now()->front_cap[class];
    hak_learner_init(l, &config, hak_learner_arm_of(start), HAK_LIFECYCLE_LEARN,
                     hak_classes.tiny_count, caps, hak_os_now_ns());
    follow_pins(l);
    hak_window_begin();
    begin_trials(&learning.trials);
}

static void take_samples(struct hak_learner *l)
{
    unsigned arm;
    uint64_t ns;
    while (hak_deal_next(&arm, &ns))
        hak_learner_sample(l, arm, ns);
}

static void tell(struct hak_lifecycle_event event)
{
    HAK_TEXT(line, 160);
    int bad = event.cause == HAK_LIFECYCLE_WORSE;
    if (hak_knob(log) < (bad ? HAK_LOG_WARNINGS : HAK_LOG_ON))
        return;
    hak_text_add(&line, "hakmem: learning: ");
    hak_text_add(&line, hak_lifecycle_state_name(event.from));
    hak_text_add(&line, " -> ");
    hak_text_add(&line, hak_lifecycle_state_name(event.to));
    hak_text_add(&line, " (");
    hak_text_add(&line, hak_lifecycle_cause_name(event.cause));
    hak_text_add(&line, "), threshold ");
    hak_text_add_u64(&line, hak_tuner_threshold_bytes(event.arm));
    hak_text_add(&line, "\n");
    hak_text_flush(&line);
}

/* Lays the decisions over the knobs. Returns 1 if there is anything to publish. */
static int put_in_force(const struct hak_learner *l, uint32_t changes)
{
    uint32_t upto[HAK_LEARNER_ARMS];
    uint64_t threshold = hak_tuner_threshold_bytes(l->tuner.lifecycle.incumbent);
    hak_learner_deal(l, upto);
    changes += put_trials_in_force(&learning.trials);
    for (uint32_t arm = 0; arm < HAK_LEARNER_ARMS; arm++) {
        changes += hak_policy_learned.deal_upto[arm] != upto[arm];
        hak_policy_learned.deal_upto[arm] = upto[arm];
    }
    if (l->config.deals && (uint64_t)hak_knob(mmap_threshold) != threshold)
        changes += hak_config_learn(HAK_KNOB_mmap_threshold, (int64_t)threshold) == 0;
    if (l->config.moves_fronts) {
        hak_policy_learned.drain_permille = l->ace.drain_permille;
        for (uint32_t c = 0; c < l->ace.classes; c++)
            hak_policy_learned.front_cap[c] = l->ace.capacity_slots[c];
        show(HAK_SCALAR_drain_permille, l->ace.drain_permille);
        show(HAK_SCALAR_front_ceiling, l->ace.ceiling_slots);
    }
    return changes != 0;
}

/* Measurements of a window, in least samples: enough for every arm now and then. */
#define OPERATIONS_PER_LEAST 16

static void open_dealing(void)
{
    double window_ns = (double)hak_knob(learn_window_ms) * 1e6;
    hak_deal_open((uint64_t)hak_knob(learn_min_samples) * OPERATIONS_PER_LEAST,
                  (uint64_t)(window_ns * hak_knob_float(learn_share)));
}

static void publish(const struct hak_learner *l, uint32_t changes)
{
    open_dealing();
    while (!hak_publish_begin()) /* a tool's request: microseconds */
        sched_yield();
    if (put_in_force(l, changes))
        hak_publish_end();
    else
        hak_publish_cancel();
}

static void work_window(struct hak_learner *l)
{
    static struct hak_ace_class_window fronts[HAK_ACE_CONTROLLER_CLASSES_MAX];
    struct hak_signature sizes;
    uint64_t now_ns = hak_os_now_ns();
    follow_live_knobs(l);
    take_samples(l);
    uint32_t threads = hak_window_end(fronts, &sizes);
    struct hak_lifecycle_event event = hak_learner_window(l, now_ns, &sizes);
    uint32_t moves = hak_learner_fronts(l, now_ns, fronts, threads);
    struct hak_trials_seen seen;
    hak_window_seen(&seen);
    follow_tools(&learning.trials);
    offer_dyn1(&learning.trials);
    hak_trials_window(&learning.trials, now_ns, &seen);
    uint32_t caps = hak_window_move_caps(&l->config);
    hak_gauge_add(front_moves, moves);
    hak_gauge_add(cap_moves, caps);
    publish(l, moves + caps);
    show_learner(l);
    if (event.cause != HAK_LIFECYCLE_NOTHING) {
        hak_probe_lifecycle(event.from, event.to);
        tell(event);
    }
    if (l->tuner.lifecycle.state != HAK_LIFECYCLE_FROZEN) {
        uint32_t arm = hak_learner_likeliest(l);
        hak_probe_elo_select(arm, (uint64_t)(l->tuner.elo.rating[arm] + 0.5));
    }
}

/* ---- the thread ------------------------------------------------------------------------- */

/* Is no thread left but this one? The 3rd word of stat is the state of the first thread, which
 * is a zombie when it has ended before the others, and still counts; the 20th is the number of
 * threads. Before them comes the name, which may hold anything up to the last parenthesis. */
static int is_alone(void)
{
    char text[512];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    size_t at = got > 0 ? (size_t)got : 0;
    text[at] = '\0';
    while (at != 0 && text[at] != ')')
        at--;
    if (got <= 0 || at + 2 >= (size_t)got)
        return 0; /* not to be learnt */
    uint64_t ended = text[at + 2] == 'Z', count = 0;
    for (int word = 2; word < 20 && text[at] != '\0'; word++)
        while (text[++at] != ' ' && text[at] != '\0')
            ;
    for (at += text[at] == ' '; text[at] >= '0' && text[at] <= '9'; at++)
        count = count * 10 + (uint64_t)(text[at] - '0');
    return count == 1 + ended;
}

/* Waits for the end of the window; answers tools meanwhile. 0: nobody else is left. */
static int nap_through(uint64_t window_ns)
{
    uint64_t end_ns = hak_os_now_ns() + window_ns;
    for (uint64_t now_ns; (now_ns = hak_os_now_ns()) < end_ns;) {
        uint64_t ns = end_ns - now_ns < NAP_NS ? end_ns - now_ns : NAP_NS;
        struct timespec nap = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        if (hak_control_waits())
            hak_control_answer();
    }
    return !is_alone();
}

static void *run(void *nothing)
{
    prctl(PR_SET_NAME, "hakmem-learner");
    hak_lock_take(&learning.lock);
    if (!learning.ready)
        begin(&learning.learner);
    learning.ready = 1;
    publish(&learning.learner, 0);
    hak_lock_release(&learning.lock);
    while (nap_through((uint64_t)hak_knob(learn_window_ms) * 1000000u)) {
        hak_lock_take(&learning.lock);
        work_window(&learning.learner);
        hak_lock_release(&learning.lock);
    }
    return nothing; /* the last thread's end is the process's */
}

/* The program's signals are not for this thread. */
static int start_thread(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    uint32_t in_slow = hak_slow_pause(&hak_front); /* it allocates */
    int error = pthread_create(&thread, &attributes, run, NULL);
    hak_slow_go_on(&hak_front, in_slow);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

void hak_learning_start(void)
{
    if (hak_knob(learn) != HAK_LEARN_LEARN || hak_load_relaxed(&learning.started) ||
        hak_exchange_acq_rel(&learning.started, 1))
        return;
#ifndef HAK_WITHOUT_LEARNING
    hak_deal_counts_sizes = 1;
    start_thread(); /* refused: the policy stands as it is */
#else
    (void)start_thread;
#endif
}

void hak_learning_fork_prepare(void)
{
    hak_lock_take(&learning.lock);
}

void hak_learning_fork_done(int in_child)
{
    if (in_child)
        learning.started = 0;
    hak_lock_fork_done(&learning.lock, in_child);
}
