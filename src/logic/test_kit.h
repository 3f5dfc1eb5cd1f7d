/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and contexts in a few words, for the tests of logic. */
#ifndef SERIN_LOGIC_TEST_KIT_H
#define SERIN_LOGIC_TEST_KIT_H

#include "logic/logic.h"

/* Compiles a rule that must be good. */
struct logic_rule *kit_compile(const char *rule);
/* The attributes of a JSON value, borrowed. Paths lead through objects and lists. */
struct logic_context kit_context(const json_t *data);
/* Whether the rule matches the data (JSON texts; data NULL: no context). */
bool kit_matches(const char *rule, const char *data);
/* The rule must be refused with a fault at `at` whose message holds `words`. */
void kit_refused(const char *rule, const char *at, const char *words);

#endif
