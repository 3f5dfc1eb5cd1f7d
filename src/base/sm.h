/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State machines as checked tables. A machine names its states and lists the allowed moves; sm_check()
 * refuses any other. The diagram in the docs is made from the same table: it begins at state 0, and a
 * state without moves is an end.
 */
#ifndef SERIN_BASE_SM_H
#define SERIN_BASE_SM_H

#include "base/err.h"
#include "base/str.h"

struct sm_move {
    int from, to;
    const char *on; /* the event or command that makes the move */
};

struct sm {
    const char *name;
    const char *const *states; /* names by number */
    size_t state_count;
    const struct sm_move *moves;
    size_t move_count;
};

/* 0 when the move is in the table; else CONFLICT with a message that names what is allowed from there. */
int sm_check(const struct sm *sm, int from, int to, struct err *err) MUST_CHECK;
int sm_state_by_name(const struct sm *sm, const char *name); /* -1 when there is none */
/* Appends a Mermaid state diagram. */
void sm_diagram(const struct sm *sm, struct str *out);

#endif
