/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and contexts in a few words, for the tests of logic. */
#ifndef SERIN_LOGIC_TEST_KIT_H
#define SERIN_LOGIC_TEST_KIT_H

#include "logic/logic.h"

/* What flags are evaluated with: the flag "new-welcome-banner" at 1795442400. */
extern const struct logic_context kit_flag;

json_t *kit_parse(const char *text);
/* A value as JSON text without spaces; what JSON has no number for is a text ("NaN"). */
void kit_write(struct str *out, const struct logic_value *value);
/* Compiles a rule that must be good. `evaluators` NULL: none. */
struct logic_rule *kit_compile(const char *rule);
struct logic_rule *kit_compile_with(const char *rule, const char *evaluators);
/* The result as JSON text, without spaces, or "outcome 1". To be freed. `base`: NULL, or the context whose data is replaced. */
char *kit_evaluate(const struct logic_rule *rule, const char *data, const struct logic_context *base,
                   struct logic_trace *trace);
char *kit_result(const char *rule, const char *data);
/* Whether the rule matches the data (JSON texts; data NULL: no context). */
bool kit_matches(const char *rule, const char *data);
/* The rule must be refused with a fault at `at` whose message holds `words`. */
void kit_refused(const char *rule, const char *at, const char *words);

/* A rule over data (NULL: no context), without a flag, and its result as JSON text. */
struct kit_row {
    const char *rule, *data, *result;
};
void kit_check(const struct kit_row *rows, size_t count);

#endif
