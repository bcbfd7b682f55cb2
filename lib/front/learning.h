/*
 * learning.h - the learner thread: it sums up what a window has shown, asks learn/learner
 * what to do, and publishes it.
 *
 * The only thread that the library starts, and only in modes that learn. It never
 * allocates. It is not there before the first slow paths, ends when it is the last thread of
 * its process, and starts again in a forked child. When it stops for whatever reason, the
 * last policy stands.
 */
#ifndef HAK_LEARNING_H
#define HAK_LEARNING_H

/* Starts the thread if the knobs want one and there is none. Any thread, on a slow path. */
void hak_learning_start(void);

/* Shows the state of a process that does not learn. Once, at the library's start. */
void hak_learning_show_rest(void);

void hak_learning_fork_prepare(void);
void hak_learning_fork_done(int in_child);

#endif
