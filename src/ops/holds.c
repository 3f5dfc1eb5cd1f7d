/* SPDX-License-Identifier: Apache-2.0 */
/* Holds: a person's word that automation must not move a ref. */
#include "ops/ops_impl.h"

#include <string.h>

int op_hold_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    const char *environment = run_text(run, "environment");
    struct environment known;
    int r = environment ? need_environment(run, tx, environment, &known, err) : 0;
    if (r < 0) return r;
    struct hold *holds;
    size_t count;
    r = store_holds(tx, environment, run->arena, &holds, &count, err);
    if (r < 0) return r;
    jw_array(jw, "holds");
    for (size_t i = 0; i < count; i++)
        if (principal_sees(&run->call->principal, slice_of(holds[i].environment))) write_hold(jw, NULL, &holds[i]);
    jw_end_array(jw);
    return 0;
}

/* The hold that stands on the ref, or a new one by whoever asks. *ret_held tells which. */
static int find_hold(struct op_run *run, struct store_tx *tx, bool *ret_held, struct err *err) {
    struct hold *hold = run->plan = run_alloc(run, sizeof(*hold), err);
    if (!hold) return -ERR_NO_MEMORY;
    int r = need_place(run, tx, err);
    if (r < 0) return r;

    r = store_hold_get(tx, run->agent, run->environment, 0, run->arena, hold, err);
    if (r < 0) return r;
    *ret_held = r != STORE_NONE;
    if (*ret_held) return 0;
    *hold = (struct hold){
        .agent = run->agent,
        .environment = run->environment,
        .reason = run->reason,
        .created_by = run_by(run),
        .created_at = clock_wall(run->ops->clock),
    };
    return 0;
}

int op_hold_set_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    bool held = false;
    int r = find_hold(run, tx, &held, err);
    run->unchanged = held;
    run->created = !held;
    return r;
}

int op_hold_set_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct hold *hold = run->plan;
    hold->created_at = run->at;
    hold->seq = run->position.seq;
    return store_hold_put(tx, hold, err);
}

static void write_change(struct op_run *run, struct jw *jw, bool held) {
    write_hold(jw, "hold", run->plan);
    jw_bool(jw, "held", held);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_hold_set_answer(struct op_run *run, struct jw *jw) {
    write_change(run, jw, true);
}

void op_hold_set_detail(struct op_run *run, struct jw *jw) {
    jw_bool(jw, "held", true);
}

int op_hold_release_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    bool held = false;
    int r = find_hold(run, tx, &held, err);
    run->unchanged = !held;
    return r;
}

int op_hold_release_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct hold row = {
        .agent = run->agent,
        .environment = run->environment,
        .reason = run->reason,
        .created_by = run_by(run),
        .created_at = run->at,
        .seq = run->position.seq,
    };
    return store_hold_release(tx, &row, err);
}

void op_hold_release_answer(struct op_run *run, struct jw *jw) {
    write_change(run, jw, false);
}

void op_hold_release_detail(struct op_run *run, struct jw *jw) {
    jw_bool(jw, "held", false);
}
