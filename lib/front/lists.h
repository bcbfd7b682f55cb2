/*
 * lists.h - the lists of a thread's front beside a hit: how long they are, when one is looked at,
 * which are idle, and the way of blocks out of them.
 *
 * Owner: the thread, on its slow path. Where blocks come from is front/slow's.
 */
#ifndef HAK_LISTS_H
#define HAK_LISTS_H

#include "front/front.h"

/* Steps until a nested call's countdown, which has run out, does so again. */
#define HAK_LOOK_AGAIN 64

/* At each refill, of one block or more: which classes are idle. */
void hak_list_look_for_idle(struct hak_front *front);
/* Gives back what is kept of idle classes, and tells the thread's slabs which they are. */
void hak_list_drain_idle(struct hak_front *front);
/* The list was empty, and `count` blocks have come into it by another way than a push. */
void hak_list_refilled(struct hak_front *front, unsigned class, unsigned count);

#endif
