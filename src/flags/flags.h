/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags: a value for some users and another one for others, without a new version. A flag is written as flagd's flag definition (state, variants,
 * defaultVariant, targeting, metadata). Beside it, never inside, stand its bindings: what it does to the configuration of agents.
 *
 * A definition is read strictly, every fault at once, and made into a flag that can be evaluated: immutable, counted, for any number of threads. Evaluating takes
 * bounded steps and allocates nothing. Pure: no I/O, clock, log or globals.
 *
 * Evaluation (flagd's, design page "flags"): disabled: no value. No targeting, or {}: the default variant (STATIC). A result that is null: the default variant
 * (DEFAULT). A result that names a variant: that one (TARGETING_MATCH). Any other result is an error, and so is a rule that comes to no result.
 */
#ifndef SERIN_FLAGS_FLAGS_H
#define SERIN_FLAGS_FLAGS_H

#include "base/jw.h"
#include "base/murmur.h"
#include "logic/logic.h"

#include <stdatomic.h>

#define FLAG_KEY_MAX 128
#define FLAG_VARIANTS_MAX 100
#define FLAG_BINDINGS_MAX 64
#define FLAG_VALUE_MAX 65536       /* bytes of a variant's value as JSON */
#define FLAG_DEFINITION_MAX 262144 /* bytes of a whole definition as JSON */
#define FLAG_AGENT_PREFIX "agent." /* agent.<name>: not a flag, but an agent that is read as one */
#define FLAG_EVALUATORS_MAX 1000   /* of an environment */
#define FLAGS_MAX 10000            /* of an environment */

/* 1 to 128 of A-Z a-z 0-9 . _ -, with a letter or digit first, and not FLAG_AGENT_PREFIX. Evaluators' names are the same, without the last. */
bool flag_key_valid(struct slice key);
bool flag_evaluator_name_valid(struct slice name);

enum flag_type { FLAG_BOOLEAN, FLAG_STRING, FLAG_NUMBER, FLAG_OBJECT };
const char *flag_type_name(enum flag_type type); /* "boolean" */

struct flag_variant {
    struct slice name;
    struct slice value;  /* as JSON; numbers in the form in which they were written */
    struct slice member; /* `"key":value`, which ends with it */
    bool is_false;
};

/* What a flag does to an agent's configuration: it takes a tool or a guardrail away (flag_takes_away()), or its value takes the place of a parameter's. */
enum flag_binding_kind { FLAG_TOOL, FLAG_GUARDRAIL, FLAG_PARAMETER };
const char *flag_binding_kind_name(enum flag_binding_kind kind); /* "tool" */
#define FLAG_EVERY_AGENT "*"
struct flag_binding {
    struct slice agent; /* a name, or FLAG_EVERY_AGENT */
    enum flag_binding_kind kind;
    struct slice name; /* of the tool, the guardrail or the parameter; "model" is a parameter too */
};

#define FLAG_NO_VARIANT (-1)

/* A rule that does nothing but split users by their targeting keys, {"fractional": [["on", 20], …]}, once more: most flags are that, and this is the quick way to
 * what the rule says. */
struct flag_split {
    struct murmur key; /* the flag's key, hashed: a user's hash goes on from here */
    uint32_t total, count;
    struct flag_share {
        uint32_t end; /* the sum of the weights up to it */
        int32_t variant;
    } parts[];
};

#define FLAG_LINE 64
struct flag {
    /* What evaluating looks at: together, because a decision asks many flags, and what it waits for is memory. */
    _Alignas(FLAG_LINE) const struct flag_split *split; /* NULL: the rule is another one */
    const struct flag_variant *variants;                /* in order of name */
    struct logic_rule *targeting;                       /* NULL: none */
    struct slice key;
    int64_t seq;             /* of the change that set it */
    int32_t default_variant; /* FLAG_NO_VARIANT: the caller's own default */
    uint32_t variant_count;
    enum flag_type type;
    bool enabled;
    atomic_uint count;
    struct arena arena;
    const struct flag_binding *bindings;
    uint32_t binding_count;
    struct slice
        metadata; /* members of a JSON object, its own before those of the environment: `"a":1,"b":2`; may be empty. Those that evaluations set are left out */
    struct slice definition; /* flagd's, as compact JSON */
    struct slice bound;      /* the bindings as a JSON array */
};

/* What a flag is made from. */
struct flag_source {
    const char *key;
    const json_t *definition, *bindings; /* bindings NULL: none */
    const char *at, *bindings_at;        /* JSON pointers to them */
    const json_t *evaluators, *metadata; /* of the environment, both checked; NULL: none */
    int64_t seq;
};
/* Every fault carries the JSON pointer of what it is about. INVALID when there is one, NO_MEMORY. */
int flag_new(const struct flag_source *source, struct flag **ret, struct faults *faults, struct err *err) MUST_CHECK;
struct flag *flag_ref(struct flag *flag);
struct flag *flag_unref(struct flag *flag); /* takes NULL, answers NULL */
DEFINE_CLEANUP(struct flag *, flag_unref)

/* ---- evaluating ---- */

enum flag_reason { FLAG_IS_STATIC, FLAG_IS_DEFAULT, FLAG_IS_TARGETED, FLAG_IS_DISABLED, FLAG_IS_ERROR };
const char *flag_reason_name(enum flag_reason reason); /* OpenFeature's: "TARGETING_MATCH" */
enum flag_error { FLAG_NO_ERROR, FLAG_GENERAL, FLAG_PARSE_ERROR, FLAG_KEY_MISSING };
const char *flag_error_name(enum flag_error error); /* OpenFeature's: "TARGETING_KEY_MISSING" */

struct flag_result {
    uint8_t reason, error; /* enum flag_reason, enum flag_error */
    int16_t variant;       /* FLAG_NO_VARIANT: no value */
};

/* `context->flag_key` is set here. FLAG_KEY_MISSING: without a targeting key the rule has no result and the flag no default variant. `trace` may be NULL. `room` NULL, or where
 * the result that names no variant is put for a message, a NUL behind it. */
#define FLAG_RESULT_ROOM 80
void flag_evaluate(const struct flag *flag, const struct logic_context *context, struct logic_scratch *scratch,
                   struct logic_trace *trace, char room[FLAG_RESULT_ROOM], struct flag_result *ret);

/* What the result comes to; NULL: nothing. */
static inline const struct flag_variant *flag_result_variant(const struct flag *flag,
                                                             const struct flag_result *result) {
    return result->variant == FLAG_NO_VARIANT ? NULL : &flag->variants[result->variant];
}

/* Whether a flag with this result takes away what it is bound to. False does. What is uncertain falls to the safe side: a flag that is disabled or in error withholds a
 * tool, for a switch for emergencies must not open what it was to guard; and it leaves a guardrail. Where the caller's own default applies, nothing is changed. */
static inline bool flag_takes_away(const struct flag *flag, const struct flag_result *result,
                                   enum flag_binding_kind kind) {
    const struct flag_variant *variant = flag_result_variant(flag, result);
    if (variant) return variant->is_false;
    return kind == FLAG_TOOL && (result->reason == FLAG_IS_DISABLED || result->reason == FLAG_IS_ERROR);
}

/* The targeting key of a context; empty: there is none. */
struct slice flag_context_key(const struct logic_context *context);

/* What flag_evaluate() says of an enabled flag that is a plain split, for who has a targeting key; inline, because a decision may ask many. */
static inline void flag_evaluate_split(const struct flag_split *split, struct slice key, struct flag_result *ret) {
    uint32_t i = 0, bucket = (uint32_t)((uint64_t)murmur_end_alone(split->key, key) * split->total >> 32);
    while (bucket >= split->parts[i].end)
        i++;
    *ret = (struct flag_result){FLAG_IS_TARGETED, FLAG_NO_ERROR, (int16_t)split->parts[i].variant};
}

/* ---- words (words.c) ---- */

/* Appends what the flag does, for people, in one line: "on for plan=pro, 20 % of others; else off". What has no short form is shown as JSON. */
void flag_words(const struct flag *flag, struct str *out);
/* Appends a condition in the same words: "plan=pro". */
void flag_condition_words(const json_t *rule, struct str *out);

/* ---- whole documents ---- */

/* Metadata: members that are true or false, texts or numbers, at most FLAG_METADATA_MAX. Every fault is told. */
#define FLAG_METADATA_MAX 64
void flag_metadata_check(const json_t *metadata, const char *at, struct faults *faults);
/* Takes out what an answer to an evaluation says of itself, whatever metadata says: version, flagSetId, contextId. */
void flag_metadata_drop_reserved(json_t *metadata);

/* A flagd document {flags, $evaluators?, metadata?, $schema?} that stands at `at`, and beside it, at /bindings, {"<key>": [binding]}. Every fault of the whole is told: of each flag, each evaluator, metadata,
 * and of bindings of a flag that is not in it. INVALID when there is one, NO_MEMORY. */
struct flag_document {
    const json_t *flags, *evaluators, *metadata, *bindings; /* borrowed; NULL: none */
};
int flag_document_read(const json_t *document, const json_t *bindings, const char *at, struct flag_document *ret,
                       struct faults *faults, struct err *err) MUST_CHECK;

#endif
