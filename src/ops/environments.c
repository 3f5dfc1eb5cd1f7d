/* SPDX-License-Identifier: Apache-2.0 */
/* Environments: list, show with what they serve, make and change. */
#include "ops/ops_impl.h"
#include "ops/page.h"

#include <string.h>

int op_environment_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct environment *environments;
    size_t count;
    int r = store_environments(tx, run->arena, &environments, &count, err);
    if (r < 0) return r;
    jw_array(jw, "environments");
    for (size_t i = 0; i < count; i++)
        if (principal_sees(&run->call->principal, slice_of(environments[i].name)))
            write_environment(jw, NULL, &environments[i]);
    jw_end_array(jw);
    return 0;
}

int op_environment_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct environment environment;
    int r = need_environment(run, tx, run_text(run, "environment"), &environment, err);
    if (r < 0) return r;

    size_t count, limit = page_limit(run);
    struct store_refs_query query = {
        .environment = environment.name,
        .after_environment = environment.name,
        .after_agent = run_text_or(run, "after", ""),
        .limit = limit + 1,
    };
    struct deployment *refs;
    r = store_refs(tx, &query, run->arena, &refs, &count, err);
    if (r < 0) return r;

    size_t shown = page_shown(count, limit);
    write_environment(jw, "environment", &environment);
    jw_array(jw, "refs");
    for (size_t i = 0; i < shown; i++) {
        bool held;
        r = is_held(run, tx, refs[i].agent, environment.name, &held, err);
        if (r < 0) return r;
        write_ref(jw, NULL, &refs[i], held);
    }
    jw_end_array(jw);
    if (count > shown) jw_text(jw, "next", refs[shown - 1].agent);
    return 0;
}

int op_environment_put_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct environment *environment = run->plan = run_alloc(run, sizeof(*environment), err);
    if (!environment) return -ERR_NO_MEMORY;
    run->environment = run_text(run, "environment");

    int r = store_environment_get(tx, run->environment, run->arena, environment, err);
    if (r < 0) return r;
    run->created = r == STORE_NONE;
    if (run->created)
        *environment = (struct environment){
            .name = run->environment,
            .description = "",
            .is_protected = !strcmp(run->environment, "production"),
            .created_at = clock_wall(run->ops->clock),
            .created_by = run_by(run),
        };

    const char *description = run_text_or(run, "description", environment->description);
    bool is_protected = run_bool(run, "protected", environment->is_protected);
    run->unchanged =
        !run->created && is_protected == environment->is_protected && !strcmp(description, environment->description);
    environment->description = description;
    environment->is_protected = is_protected;
    return 0;
}

int op_environment_put_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct environment *environment = run->plan;
    if (run->created) environment->created_at = run->at;
    struct environment row = *environment;
    row.created_at = run->at;
    row.created_by = run_by(run);
    row.seq = run->position.seq;
    return store_environment_put(tx, &row, err);
}

void op_environment_put_answer(struct op_run *run, struct jw *jw) {
    write_environment(jw, "environment", run->plan);
    jw_bool(jw, "created", run->created);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_environment_put_detail(struct op_run *run, struct jw *jw) {
    struct environment *environment = run->plan;
    jw_bool(jw, "created", run->created);
    jw_text(jw, "description", environment->description);
    jw_bool(jw, "protected", environment->is_protected);
}
