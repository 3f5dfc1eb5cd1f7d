/* SPDX-License-Identifier: Apache-2.0 */
/* Agents: list, show, make and describe. */
#include "ops/ops_impl.h"
#include "ops/page.h"

#include <string.h>

int op_agent_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    size_t limit = page_limit(run);
    struct agent *agents;
    size_t count;
    int r = store_agents(tx, run_text_or(run, "after", ""), limit + 1, run->arena, &agents, &count, err);
    if (r < 0) return r;

    size_t shown = page_shown(count, limit);
    jw_array(jw, "agents");
    for (size_t i = 0; i < shown; i++)
        write_agent(jw, NULL, &agents[i]);
    jw_end_array(jw);
    if (count > shown) jw_text(jw, "next", agents[shown - 1].name);
    return 0;
}

/* The refs of one agent in the environments that the key may see. */
static int write_refs_of(struct op_run *run, struct store_tx *tx, const char *agent, struct jw *jw, struct err *err) {
    struct deployment *refs;
    size_t count;
    int r = refs_of_agent(run, tx, agent, &refs, &count, err);
    if (r < 0) return r;

    jw_array(jw, "environments");
    for (size_t i = 0; i < count; i++) {
        if (!principal_sees(&run->call->principal, slice_of(refs[i].environment))) continue;
        bool held;
        r = is_held(run, tx, agent, refs[i].environment, &held, err);
        if (r < 0) return r;
        write_ref(jw, NULL, &refs[i], held);
    }
    jw_end_array(jw);
    return 0;
}

int op_agent_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct agent agent;
    int r = need_agent(run, tx, run_text(run, "agent"), &agent, err);
    if (r < 0) return r;
    write_agent_members(jw, &agent);
    return write_refs_of(run, tx, agent.name, jw, err);
}

static int read_session(struct op_run *run, enum session_policy *session, struct err *err) {
    const char *text = run_text(run, "session");
    if (!text || session_policy_from_text(text, session)) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "`session` must be pin or follow");
    err_at(err, "/session");
    return r;
}

int op_agent_put_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct agent *agent = run->plan = run_alloc(run, sizeof(*agent), err);
    if (!agent) return -ERR_NO_MEMORY;
    run->agent = run_text(run, "agent");
    const char *description = run_text(run, "description");

    int r = store_agent_get(tx, run->agent, run->arena, agent, err);
    if (r < 0) return r;
    run->created = r == STORE_NONE;
    if (run->created)
        *agent = (struct agent){.name = run->agent,
                                .description = "",
                                .created_by = run_by(run),
                                .created_at = clock_wall(run->ops->clock)};
    enum session_policy session = agent->session;
    r = read_session(run, &session, err);
    if (r < 0) return r;
    run->unchanged =
        !run->created && session == agent->session && (!description || !strcmp(description, agent->description));
    if (description) agent->description = description;
    agent->session = session;
    return 0;
}

int op_agent_put_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct agent *agent = run->plan;
    if (run->created) agent->created_at = run->at;
    struct agent row = *agent;
    row.created_at = run->at;
    row.created_by = run_by(run);
    row.seq = run->position.seq;
    return store_agent_put(tx, &row, err);
}

void op_agent_put_answer(struct op_run *run, struct jw *jw) {
    write_agent(jw, "agent", run->plan);
    jw_bool(jw, "created", run->created);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_agent_put_detail(struct op_run *run, struct jw *jw) {
    struct agent *agent = run->plan;
    jw_text(jw, "description", agent->description);
    jw_text(jw, "session", session_policy_name(agent->session));
    jw_bool(jw, "created", run->created);
}
