/*
 * control.h - changes of a running process: what a tool or the learner asks for is checked,
 * told and published as one new policy snapshot.
 *
 * Owner: the process. Any thread may answer, on a slow path; one at a time publishes, and
 * who finds another at it goes on (hak_publish_begin). It does not decide what to change.
 */
#ifndef HAK_CONTROL_H
#define HAK_CONTROL_H

#include "base/atomic.h"
#include "os/page.h"

/* Has a tool asked for something? Two loads, on slow paths. */
HAK_INLINE int hak_control_waits(void)
{
    const struct hak_control *c = hak_page_control;
    return c != NULL && hak_load_relaxed(&c->request) != hak_load_relaxed(&c->answered);
}

/* Takes up the tool's request, if there is one and nobody else is at it. Keeps errno. */
void hak_control_answer(void);

/* 1: the caller alone may change live knobs and hak_policy_learned until hak_publish_end(),
 * which publishes them. Never waits: 0 when somebody else is at it. */
int hak_publish_begin(void);
uint64_t hak_publish_end(void);
void hak_publish_cancel(void); /* nothing was changed */

/* The first publication of all, and the one of a forked child. */
void hak_control_start(void);
void hak_control_fork_child(void);

#endif
