/*
 * window.h - what the counters have gained from one window to the next, in the shapes that
 * the learner takes. Owner: the learner thread, under its lock.
 */
#ifndef HAK_WINDOW_H
#define HAK_WINDOW_H

#include "learn/dyn1.h"
#include "learn/learner.h"
#include "learn/trials.h"

/* From here on the first window runs. */
void hak_window_begin(void);

/* Ends a window: one entry per Tiny class, and the sizes that were asked for. Returns the
 * threads that count now. */
uint32_t hak_window_end(struct hak_ace_class_window *fronts, struct hak_signature *sizes);

/* What the pools of Mid and Large, and realloc, have shown in the window that hak_window_end()
 * ended. Once a window. */
void hak_window_seen(struct hak_trials_seen *seen);

/* The extra Mid class that all requests since the start would have been served best by. */
struct hak_dyn1_choice hak_window_choose_dyn1(void);

/* Moves the pools' caps by the window's hit rates; how many moved. The last call of a
 * window: the next one runs from here. */
uint32_t hak_window_move_caps(const struct hak_learner_config *config);

#endif
