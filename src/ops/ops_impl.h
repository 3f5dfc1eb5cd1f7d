/* SPDX-License-Identifier: Apache-2.0 */
/* For the files that implement operations. */
#ifndef SERIN_OPS_OPS_IMPL_H
#define SERIN_OPS_OPS_IMPL_H

#include "base/jw.h"
#include "model/names.h"
#include "ops/ops.h"
#include "store/rollouts.h"

/* One run of an operation. */
struct op_run {
    struct ops *ops;
    struct op_call *call;
    struct arena *arena;
    void *plan;           /* what check found out, for apply and answer */
    bool unchanged;       /* set by check: the world is as wished; apply is not called */
    bool created;         /* set by check: answers the table's status, else 200 */
    struct position seen; /* the state that the answer tells of, or a later one */
    bool to_keep;         /* the answer is written for the store, to be repeated: without secrets */

    /* taken before apply */
    struct position position;
    int64_t at;

    /* for the audit entry */
    const char *agent, *environment; /* "" when not about one */
    const char *reason;
    struct str detail; /* JSON object */
};

/* What an operation is made of. READ has `read`; CHANGE has the others; `prepare` either, or NULL. */
struct op_impl {
    /* Before the transaction: costly checks of the input, and what must be there before the store is read. */
    int (*prepare)(struct op_run *run, struct err *err);
    /* Finds what is wrong, decides what will be done (plan). Changes nothing. */
    int (*check)(struct op_run *run, struct store_tx *tx, struct err *err);
    /* Writes rows that carry run->position and run->at. */
    int (*apply)(struct op_run *run, struct store_tx *tx, struct err *err);
    /* Writes the members of the answer; also for a dry run and for what was unchanged. */
    void (*answer)(struct op_run *run, struct jw *jw);
    /* Writes the audit's detail. */
    void (*detail)(struct op_run *run, struct jw *jw);
    /* A READ: writes the members of the answer. */
    int (*read)(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err);
};

const struct op_impl *op_impl(enum op_id id);

/* The functions of each row, by its kind: op_<name>_read, or op_<name>_check, _apply, _answer and _detail. */
/* clang-format off */
#define PARAM(...)
#define DECLARE_MEMORY(id)
#define DECLARE_STREAM(id)
#define DECLARE_INTAKE(id)
#define DECLARE_READ(id) int op_##id##_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err);
#define DECLARE_CHANGE(id) \
    int op_##id##_check(struct op_run *run, struct store_tx *tx, struct err *err); \
    int op_##id##_apply(struct op_run *run, struct store_tx *tx, struct err *err); \
    void op_##id##_answer(struct op_run *run, struct jw *jw); \
    void op_##id##_detail(struct op_run *run, struct jw *jw);
#define OP(id, method, path, role, kind, ...) DECLARE_##kind(id)
#include "ops/ops.def"
#undef OP
#undef PARAM
#undef DECLARE_MEMORY
#undef DECLARE_STREAM
#undef DECLARE_INTAKE
#undef DECLARE_READ
#undef DECLARE_CHANGE
/* clang-format on */
int op_version_push_prepare(struct op_run *run, struct err *err);
int op_key_create_prepare(struct op_run *run, struct err *err);
int op_rollout_failures_prepare(struct op_run *run, struct err *err);
int op_outcome_sums_prepare(struct op_run *run, struct err *err);
int op_webhook_put_prepare(struct op_run *run, struct err *err);
int op_webhook_rotate_prepare(struct op_run *run, struct err *err);

/* Zeroed memory of the run, for plans and rows; NULL sets the error. */
void *run_alloc(struct op_run *run, size_t size, struct err *err) MUST_CHECK;
const char *run_by(const struct op_run *run);                      /* the name of the key that asks */
const char *run_text(const struct op_run *run, const char *param); /* NULL when absent */
const char *run_text_or(const struct op_run *run, const char *param, const char *otherwise);
int64_t run_int(const struct op_run *run, const char *param, int64_t otherwise);
bool run_bool(const struct op_run *run, const char *param, bool otherwise);
/* Sorts the texts and hands over a JSON array of them, each once, in the run's arena. */
int run_texts(struct op_run *run, const char **texts, size_t count, const char **ret, struct err *err) MUST_CHECK;
/* The parameter `audience`, a targeting rule, as canonical JSON; NULL: it is not given. What is wrong with it is among the call's faults. */
int run_audience(struct op_run *run, const char **ret, struct err *err) MUST_CHECK;
/* INVALID by the call's faults, whose places follow `at`. */
int run_refuse_faults(struct op_run *run, const char *at, struct err *err);
int run_stale(struct op_run *run, int64_t current, struct err *err, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The nouns that must exist: AGENT_NOT_FOUND, ENVIRONMENT_NOT_FOUND, VERSION_NOT_FOUND. */
int need_agent(struct op_run *run, struct store_tx *tx, const char *name, struct agent *ret,
               struct err *err) MUST_CHECK;
int need_environment(struct op_run *run, struct store_tx *tx, const char *name, struct environment *ret,
                     struct err *err) MUST_CHECK;
/* The parameters agent and environment, both of which must exist; run->agent and run->environment are set. */
int need_place(struct op_run *run, struct store_tx *tx, struct err *err) MUST_CHECK;
/* A PARAM_VERSION value (number or text) of an agent; the row without its configuration unless asked. */
int need_version(struct op_run *run, struct store_tx *tx, const char *agent, const json_t *value, bool with_config,
                 struct version *ret, struct err *err) MUST_CHECK;
/* The deployment behind a ref; a zeroed one (version 0) when nothing is served. */
int current_ref(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment,
                struct deployment *ret, struct err *err) MUST_CHECK;
/* What every environment serves for an agent. */
int refs_of_agent(struct op_run *run, struct store_tx *tx, const char *agent, struct deployment **ret,
                  size_t *ret_count, struct err *err) MUST_CHECK;
/* A new id in the run's arena. */
int run_uuid(struct op_run *run, const char **ret, struct err *err) MUST_CHECK;
/* The move that goes back from `current` (rollback.c); NOTHING_BEFORE. Fills version, previous, kind and restores of *ret. */
int plan_undo(struct op_run *run, struct store_tx *tx, const struct deployment *current, struct deployment *ret,
              struct err *err) MUST_CHECK;
/* The open rollout of a ref that somebody is about to move otherwise, in the run's arena; *ret NULL when there is none. */
int find_open_rollout(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment,
                      const struct rollout **ret, struct err *err) MUST_CHECK;
/* Ends it as that state, before the ref moves. NULL: nothing to be done. */
int end_rollout(struct op_run *run, struct store_tx *tx, const struct rollout *rollout, enum rollout_state state,
                struct err *err) MUST_CHECK;
/* The rollout that the parameters agent and rollout name: NOT_FOUND. run->agent and run->environment are set. */
int need_rollout(struct op_run *run, struct store_tx *tx, struct rollout *ret, struct err *err) MUST_CHECK;
/* HELD for a robot where a person's word, a hold or a panic, forbids it to move the ref. */
int check_robot_may(struct op_run *run, struct store_tx *tx, struct err *err) MUST_CHECK;
/* A template by name: the store's own, else the built-in one. STORE_NONE. */
int find_template(struct op_run *run, struct store_tx *tx, const char *name, struct rollout_template *ret,
                  struct err *err) MUST_CHECK;
/* The parameters of the operation that belong to a plan, as an object. A new reference. */
int run_plan_wish(struct op_run *run, json_t **ret, struct err *err) MUST_CHECK;
/* Adds a hold unless one is set. */
int put_hold(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment,
             struct err *err) MUST_CHECK;
int is_held(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment, bool *ret,
            struct err *err) MUST_CHECK;

/* The nouns as users see them (write.c): an object under `key`. */
void write_agent(struct jw *jw, const char *key, const struct agent *agent);
void write_agent_members(struct jw *jw, const struct agent *agent);
void write_version(struct jw *jw, const char *key, const struct version *version, const char *const *served_in);
void write_version_members(struct jw *jw, const struct version *version, const char *const *served_in);
void write_environment(struct jw *jw, const char *key, const struct environment *environment);
void write_ref(struct jw *jw, const char *key, const struct deployment *deployment, bool held);
void write_deployment(struct jw *jw, const char *key, const struct deployment *deployment);
void write_hold(struct jw *jw, const char *key, const struct hold *hold);
void write_override(struct jw *jw, const char *key, const struct override *override);
void write_rollout(struct jw *jw, const char *key, const struct rollout *rollout);
void write_time(struct jw *jw, const char *key, int64_t at);
void write_faults(struct jw *jw, const char *key, const struct faults *faults, bool warnings);

#endif
