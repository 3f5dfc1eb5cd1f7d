/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The targeting language: rules over the attributes of a context, written as JsonLogic with the operators of flagd. A rule is checked once, every fault at once,
 * and compiled to a compact program. Evaluating takes bounded steps, allocates nothing and has no state. Pure.
 *
 *   var missing missing_some · if ?: and or ! !! · == === != !== > >= < <= · + - * / % min max · cat substr in merge ·
 *   map filter reduce all none some · fractional sem_ver starts_with ends_with · $ref
 *
 * Results are those of json-logic-js where this header does not say otherwise; what is stricter is refused when the rule is compiled: an unknown operation, a wrong
 * number of arguments, a $ref to nothing or in a circle, a weight that is no whole number, a rule past the bounds below. docs/decisions/0017-targeting-language.md
 * has the differences.
 *
 * Two things to know of JsonLogic itself: an attribute that is missing is null, and null is 0 to < and its like, so {"<": [{"var": "age"}, 18]} holds for whoever
 * has no age; and "0" is true.
 */
#ifndef SERIN_LOGIC_LOGIC_H
#define SERIN_LOGIC_LOGIC_H

#include "base/json.h"

/* Of a rule with all that it refers to. */
#define LOGIC_DEPTH_MAX 32       /* operations in one another */
#define LOGIC_SIZE_MAX 10000     /* operations, their plain arguments, the items of lists and the names of paths */
#define LOGIC_TEXT_MAX (1 << 20) /* bytes of its texts */
#define LOGIC_WAITING_MAX 250    /* values that wait at once for the operation whose arguments they are */
/* Of an evaluation: a step is an operation, an item of a list that is looked at, or some bytes of a long text. Only a rule that goes over lists or long texts of
 * the context can come so far. */
#define LOGIC_STEPS_MAX 100000

/* ---- values ---- */

enum logic_type { LOGIC_NULL, LOGIC_BOOL, LOGIC_NUMBER, LOGIC_TEXT, LOGIC_LIST, LOGIC_OBJECT };

struct logic_member;
struct logic_value {
    uint8_t type; /* enum logic_type */
    bool truth;   /* of a BOOL */
    uint32_t count;
    union {
        double number;
        const char *text;                   /* `count` bytes of UTF-8 */
        const struct logic_value *items;    /* `count` of them */
        const struct logic_member *members; /* `count` of them, each name once */
    };
};
struct logic_member {
    struct slice name;
    struct logic_value value;
};

static inline struct logic_value logic_null(void) {
    return (struct logic_value){.type = LOGIC_NULL};
}
static inline struct logic_value logic_bool(bool truth) {
    return (struct logic_value){.type = LOGIC_BOOL, .truth = truth};
}
static inline struct logic_value logic_number(double number) {
    return (struct logic_value){.type = LOGIC_NUMBER, .number = number};
}
static inline struct logic_value logic_text(struct slice text) {
    return (struct logic_value){.type = LOGIC_TEXT, .count = (uint32_t)text.len, .text = text.ptr};
}
static inline struct slice logic_slice(const struct logic_value *text) {
    return (struct slice){text->text, text->count};
}

/* The member of an object, or the item of a list whose number the name is; NULL: there is none. */
const struct logic_value *logic_get(const struct logic_value *value, struct slice name);

/* ---- values that are read piece by piece ---- */

/*
 * Objects and lists from the pieces in which a reader finds them, in memory of the caller's, which the values point into:
 *
 *     uint32_t mark = build->open;
 *     while (…) if (!logic_build_add(build, name, value)) …;  // a value may be an object or a list that was closed before
 *     if (!logic_build_close(build, mark, LOGIC_OBJECT, &value)) …;
 */
struct logic_build {
    struct logic_member *members; /* of what is open, outermost first */
    uint32_t open;                /* how many */
    char *end;                    /* closed ones lie behind it */
};
/* `memory` is aligned for any type. */
void logic_build_init(struct logic_build *build, void *memory, size_t size);
/* False: the memory is used up. An item of a list has no name. */
bool logic_build_add(struct logic_build *build, struct slice name, struct logic_value value) MUST_CHECK;
bool logic_build_close(struct logic_build *build, uint32_t mark, enum logic_type type,
                       struct logic_value *ret) MUST_CHECK;

/* The same of a parsed value, in the arena; texts are borrowed. NULL gives null. NO_MEMORY. */
int logic_from_json(const json_t *json, struct arena *arena, struct logic_value *ret) MUST_CHECK;

/* ---- rules ---- */

struct logic_rule;

struct logic_source {
    const json_t *rule;
    const char *at;           /* JSON pointer to it */
    const json_t *evaluators; /* what {"$ref": "name"} may name: an object of rules; NULL: nothing */
    bool flagd;               /* it is a flag's, so that there is a $flagd */
};

/* Faults carry the JSON pointer `at` and what follows it inside the rule; a fault in what is referred to stands at the $ref. INVALID when there is a fault (the first
 * one is in `err` too), NO_MEMORY. */
int logic_compile_source(const struct logic_source *source, struct logic_rule **ret, struct faults *faults,
                         struct err *err) MUST_CHECK;
/* Of a rule that refers to nothing and is no flag's. */
int logic_compile(const json_t *rule, const char *at, struct logic_rule **ret, struct faults *faults,
                  struct err *err) MUST_CHECK;
/* The faults of all evaluators, each at its own place; `at` is where the object stands. Same errors. */
int logic_check_evaluators(const json_t *evaluators, const char *at, struct faults *faults, struct err *err) MUST_CHECK;
struct logic_rule *logic_free(struct logic_rule *rule);
DEFINE_CLEANUP(struct logic_rule *, logic_free)

/* What the result may depend on, besides the rule. */
struct logic_reads {
    const struct slice *names; /* members of the context, each once */
    uint32_t name_count;
    bool whole; /* any member: a path is computed, or the context read as a whole */
    bool key;   /* a fraction of users by their targeting key: without one there is no result */
    bool flag;  /* $flagd.flagKey, or a fraction that begins with it */
    bool time;  /* $flagd.timestamp */
};
const struct logic_reads *logic_reads(const struct logic_rule *rule);

/* ---- evaluating ---- */

struct logic_context {
    struct logic_value data; /* what `var` looks into: an object */
    /* What `$flagd` holds, whatever `data` says of it. Without `ptr`: no flag is evaluated, there is no `$flagd`, and a fraction goes by the targeting key alone. */
    struct slice flag_key;
    int64_t timestamp; /* seconds since 1970 */
    uint64_t *steps;   /* those that are taken are added to it; NULL: nobody counts */
};

/* Where lists and texts are made on the way; the result may point into it. Need not be cleared. */
#define LOGIC_SCRATCH_SIZE 16384
struct logic_scratch {
    _Alignas(16) char bytes[LOGIC_SCRATCH_SIZE];
};

/* What was taken, for those who are to be told. */
struct logic_trace {
    const char *operation;  /* the outermost operation when it is if, ?:, and, or; else NULL */
    int32_t argument;       /* which of its arguments gave the result, from 0; -1: none did (an `if` without an else) */
    bool has_bucket;        /* a fraction was evaluated; of several, the last one: */
    uint32_t bucket, total; /* the user's of how many; total is the sum of the weights */
    int32_t entry;          /* which of its entries, from 0 */
};

/* Outcomes above 0: there is no result. */
#define LOGIC_NO_ROOM 1  /* the scratch is full */
#define LOGIC_NO_STEPS 2 /* LOGIC_STEPS_MAX are taken */
/* `context` NULL: there are no attributes. `trace` NULL: nobody is told. Texts of the result are the rule's, the context's or lie in the scratch. */
int logic_evaluate(const struct logic_rule *rule, const struct logic_context *context, struct logic_scratch *scratch,
                   struct logic_trace *trace, struct logic_value *ret) MUST_CHECK;
const char *logic_outcome_text(int outcome); /* "the rule made …" */

/* Whether the rule has a result, and that is true in the sense of JsonLogic. */
bool logic_matches(const struct logic_rule *rule, const struct logic_context *context);

/* A result as the name of a variant: "red", "true", "1.5". False: null, a list or an object, which name none. */
#define LOGIC_NUMBER_ROOM 32
bool logic_result_text(const struct logic_value *result, char room[LOGIC_NUMBER_ROOM], struct slice *ret) MUST_CHECK;

#endif
