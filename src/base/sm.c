/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sm.h"

#include <string.h>

static const char *state_name(const struct sm *sm, int state) {
    return state >= 0 && (size_t)state < sm->state_count ? sm->states[state] : "an unknown state";
}

static bool has_move_from(const struct sm *sm, int from) {
    for (size_t i = 0; i < sm->move_count; i++)
        if (sm->moves[i].from == from) return true;
    return false;
}

static void add_allowed(const struct sm *sm, int from, struct str *out) {
    const char *before = "";
    for (size_t i = 0; i < sm->move_count; i++) {
        const struct sm_move *move = &sm->moves[i];
        if (move->from != from) continue;
        str_printf(out, "%s%s (%s)", before, state_name(sm, move->to), move->on);
        before = ", ";
    }
}

int sm_check(const struct sm *sm, int from, int to, struct err *err) {
    for (size_t i = 0; i < sm->move_count; i++)
        if (sm->moves[i].from == from && sm->moves[i].to == to) return 0;

    const char *now = state_name(sm, from), *wish = state_name(sm, to);
    if (!has_move_from(sm, from))
        return err_set(err, ERR_CONFLICT, "%s cannot go from %s to %s: %s is its end", sm->name, now, wish, now);
    struct str allowed = STR_INIT;
    add_allowed(sm, from, &allowed);
    int r = allowed.failed ? err_no_memory(err)
                           : err_set(err, ERR_CONFLICT, "%s cannot go from %s to %s, only to %s", sm->name, now, wish,
                                     allowed.data);
    str_deinit(&allowed);
    return r;
}

int sm_state_by_name(const struct sm *sm, const char *name) {
    for (size_t i = 0; i < sm->state_count; i++)
        if (strcmp(sm->states[i], name) == 0) return (int)i;
    return -1;
}

void sm_diagram(const struct sm *sm, struct str *out) {
    str_printf(out, "stateDiagram-v2\n    [*] --> %s\n", state_name(sm, 0));
    for (size_t i = 0; i < sm->move_count; i++) {
        const struct sm_move *move = &sm->moves[i];
        str_printf(out, "    %s --> %s: %s\n", state_name(sm, move->from), state_name(sm, move->to), move->on);
    }
    for (size_t i = 0; i < sm->state_count; i++)
        if (!has_move_from(sm, (int)i)) str_printf(out, "    %s --> [*]\n", sm->states[i]);
}
