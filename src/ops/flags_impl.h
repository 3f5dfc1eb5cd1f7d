/* SPDX-License-Identifier: Apache-2.0 */
/* For the operations on flags: one flag (flags.c), a whole document (flag_documents.c), what was (flag_diff.c), and what both need (flag_parts.c). */
#ifndef SERIN_OPS_FLAGS_IMPL_H
#define SERIN_OPS_FLAGS_IMPL_H

#include "flags/flags.h"
#include "ops/ops_impl.h"
#include "store/flags.h"

/* The parameter environment, which must exist; run->environment is set. */
int need_flag_environment(struct op_run *run, struct store_tx *tx, struct err *err) MUST_CHECK;
/* The same, and that this key may change flags there: FORBIDDEN for an editor in a protected one. */
int need_flag_change(struct op_run *run, struct store_tx *tx, struct err *err) MUST_CHECK;
/* NOT_FOUND: the environment has no flag of the parameter's key. */
int no_flag(struct op_run *run, struct err *err);
/* A parameter that is a time or a position as a seq; 0 = it is not given: now. BEFORE_HISTORY, POSITION_UNKNOWN. */
int flag_moment(struct op_run *run, struct store_tx *tx, const char *param, int64_t *ret, struct err *err) MUST_CHECK;

/* What the flags of an environment share, as of a seq (0 = now). To be dropped by flag_shared_deinit(). */
struct flag_shared {
    json_t *evaluators, *metadata; /* objects */
};
int flag_shared_read(struct op_run *run, struct store_tx *tx, int64_t seq, struct flag_shared *ret,
                     struct err *err) MUST_CHECK;
void flag_shared_deinit(struct flag_shared *shared);

/* All records of a part, in order of key, in the run's arena. */
int flag_records(struct op_run *run, struct store_tx *tx, enum flag_part part, int64_t seq, struct flag_record **ret,
                 size_t *ret_count, struct err *err) MUST_CHECK;

/* The flag of a record. *ret NULL: this program cannot read it. */
int flag_of_record(const struct flag_record *record, const struct flag_shared *shared, struct flag **ret,
                   struct err *err) MUST_CHECK;
/* An object under `key`; `flag` NULL: it cannot be read. */
void write_flag(struct jw *jw, const char *key, const struct flag_record *record, const struct flag *flag,
                bool with_definition);
void write_flag_members(struct jw *jw, const struct flag_record *record, const struct flag *flag, bool with_definition);

/* Warnings: bindings of the flag to agents, tools, guardrails and parameters that are not there. */
int flag_warn(struct op_run *run, struct store_tx *tx, const struct flag *flag, const char *at,
              struct err *err) MUST_CHECK;
/* CONFLICT when an agent would have more than BOUND_FLAGS_MAX flags with these among `others`, but for those of the same keys. */
int flag_bound_check(struct op_run *run, const struct flag_record *others, size_t other_count,
                     const struct flag_record *new, size_t new_count, struct err *err) MUST_CHECK;

#endif
