/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled rule: steps of a stack machine, in the order in which they are taken. Arguments stand before their operation. Jumps lead forward only, so what is
 * not inside a loop is taken once at most; the steps of a loop's body stand behind it, and it takes them for each item. What a step needs besides the stack (a
 * constant, a path, the items of a list) lies in `values`.
 */
#ifndef SERIN_LOGIC_LOGIC_IMPL_H
#define SERIN_LOGIC_LOGIC_IMPL_H

#include "logic/logic.h"

enum logic_code {
    STEP_VALUE,     /* pushes values[at] */
    STEP_ATTRIBUTE, /* pushes the member whose name is values[at] */
    STEP_PATH,      /* the same, down the names values[at … at + count) */
    STEP_DATA,      /* pushes the whole data */
    STEP_FLAG_KEY,
    STEP_TIMESTAMP,
    STEP_FLAGD,   /* pushes the object of both */
    STEP_NOTHING, /* pushes what a path gives that leads nowhere */
    STEP_FIND,    /* the path on top: in its place what is there */
    /* Jumps. `count` is the number, from 1, of the argument of the outermost operation that is the result if it is taken; 0: none is. */
    STEP_DEFAULT, /* the step before found something: goes to step `at`; else takes the top away */
    STEP_AND,     /* false on top: goes to step `at`; else takes it away */
    STEP_OR,      /* true on top: goes to step `at`; else takes it away */
    STEP_UNLESS,  /* takes the top away, and when it was false goes to step `at` */
    STEP_GO,      /* goes to step `at` */
    /* Of the one on top. */
    STEP_IN_LIST,  /* whether it is one of values[at … at + count) */
    STEP_IN_TEXTS, /* the same of texts in the order of text_place() */
    STEP_NOT,
    STEP_TRUTH,
    /* Loops over the list on top; the body ends before step `at`. */
    STEP_MAP,
    STEP_FILTER,
    STEP_ALL,
    STEP_NONE,
    STEP_SOME,
    STEP_REDUCE,   /* the first value lies above the list; `count` 1: the body may keep its data */
    STEP_FRACTION, /* goes to the step of an entry: see fraction.c */
    /* Of the `count` on top. */
    STEP_EQUAL,
    STEP_NOT_EQUAL,
    STEP_SAME,
    STEP_NOT_SAME,
    STEP_GREATER,
    STEP_GREATER_EQUAL,
    STEP_LESS,
    STEP_LESS_EQUAL,
    STEP_IN,
    STEP_STARTS_WITH,
    STEP_ENDS_WITH,
    STEP_ADD,
    STEP_SUBTRACT,
    STEP_MULTIPLY,
    STEP_DIVIDE,
    STEP_MODULO,
    STEP_MIN,
    STEP_MAX,
    STEP_LIST,
    STEP_MERGE,
    STEP_CAT,
    STEP_SUBSTR,
    STEP_MISSING,
    STEP_MISSING_SOME,
    STEP_SEM_VER, /* `at` is the operator: enum sem_ver_operator */
};

struct logic_step {
    uint16_t code, count;
    uint32_t at;
};

/* One block: the values, the names and their texts lie behind the steps. */
struct logic_rule {
    uint32_t step_count;
    int32_t
        last_argument; /* of the outermost operation: what is the result when no jump with a `count` is taken; -1: none */
    const char *operation; /* the outermost one, when its arguments are told apart */
    const struct logic_value *values;
    struct logic_reads reads;
    struct logic_step steps[];
};

/* ---- compiling ---- */

/* The body of a loop that is being written. */
struct scope {
    bool keeps; /* its data as a whole may become a part of the result */
};

/* A $ref that is being followed. */
struct open_ref {
    const struct open_ref *outer;
    const char *name;
};

struct compiler {
    struct str steps, values,
        texts; /* a text's `text` is its offset in `texts`, a list's `items` its index in `values`, until all is laid out */
    struct str names;   /* of reads.names: slices into `texts` */
    struct str pointer; /* to where the walk is */
    struct faults *faults;
    const json_t *evaluators;
    struct scope *scope; /* NULL: the context */
    const struct open_ref *ref;
    struct logic_reads reads;
    const char *operation; /* the outermost one */
    int32_t last_argument;
    size_t taken; /* of LOGIC_SIZE_MAX */
    unsigned depth, height;
    bool flagd;                /* there is a $flagd */
    bool inside;               /* some operation that is no $ref */
    bool deep, large, crowded; /* told once */
};

struct operation {
    const char *name;
    void (*write)(struct compiler *compiler, const struct operation *operation, const json_t *arguments);
    size_t least, most; /* arguments; most 0: as many as there are */
    enum logic_code code;
};
/* operations.c */
const struct operation *operation_find(const char *name);
const char *operation_nearest(const char *name); /* NULL: none is near */

/* compile.c: what operations are written with. */
void compiler_fault(struct compiler *compiler, const char *fmt, ...) PRINTF_LIKE(2, 3);
void compiler_warn(struct compiler *compiler, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool compiler_take(struct compiler *compiler); /* one more of LOGIC_SIZE_MAX */
/* One value more waits than `height`. */
void compiler_push(struct compiler *compiler, unsigned height);
uint32_t emit_count(const struct compiler *compiler);
/* Adds a step and answers its index. */
uint32_t emit_step(struct compiler *compiler, enum logic_code code, size_t count, size_t at);
struct logic_step *emit_step_at(struct compiler *compiler, uint32_t index); /* NULL: memory or the bounds are used up */
/* Adds values, null so far, and answers the index of the first. */
size_t emit_values(struct compiler *compiler, size_t count);
void emit_put(struct compiler *compiler, size_t index, struct logic_value value);
/* With the bytes among the texts. */
struct logic_value emit_own_text(struct compiler *compiler, struct slice text);
/* A JSON value without operations. */
bool logic_is_constant(const json_t *json);
void emit_put_constant(struct compiler *compiler, size_t index, const json_t *json);
void emit_items(struct compiler *compiler, size_t first, const json_t *list); /* constants all */
void emit_name(struct compiler *compiler, struct slice name);                 /* to what is read of the context */
/* Writes what leaves one value more: a rule, a constant, an argument. */
void emit_value(struct compiler *compiler, const json_t *rule);
void emit_constant(struct compiler *compiler, const json_t *json);
void emit_argument(struct compiler *compiler, const json_t *arguments, size_t i);
/* {"!": x} is {"!": [x]}. */
size_t logic_argument_count(const json_t *arguments);
const json_t *logic_argument(const json_t *arguments, size_t i);
/* Lets the pointer lead to an argument, and back. */
size_t emit_enter(struct compiler *compiler, const json_t *arguments, size_t i);
void emit_back(struct compiler *compiler, size_t len);
/* A chain of jumps, each with the index of the one before it plus one, leads to the next step. */
void emit_land(struct compiler *compiler, uint32_t last);

/* read.c: operations that look into the data. */
void emit_var(struct compiler *compiler, const struct operation *operation, const json_t *arguments);
void emit_missing(struct compiler *compiler, const struct operation *operation, const json_t *arguments);
void emit_missing_some(struct compiler *compiler, const struct operation *operation, const json_t *arguments);
/* flagd.c: flagd's own. */
void emit_fraction(struct compiler *compiler, const struct operation *operation, const json_t *arguments);
void emit_version(struct compiler *compiler, const struct operation *operation, const json_t *arguments);
void emit_ref(struct compiler *compiler, const struct operation *operation, const json_t *arguments);

/* ---- evaluating ---- */

/* An evaluation. Failing is sticky: `outcome` is looked at when all is done, and what goes on till then is bounded. */
struct machine {
    const struct logic_rule *rule;
    const struct logic_context *context;
    struct logic_trace *trace;
    struct logic_value data; /* of the scope: the context's, or an item of a loop */
    bool scoped;             /* inside a loop */
    bool found;              /* whether the last path led somewhere */
    struct logic_value *top;
    char *low, *high; /* what is free of the scratch */
    uint32_t left;    /* of the steps */
    int outcome;
};

/* logic.c. Takes the steps from `from` up to `to`, which leave one value. */
void machine_run(struct machine *machine, uint32_t from, uint32_t to);
/* False: there are not so many left. */
bool machine_spend(struct machine *machine, size_t steps);
/* Room for values in the scratch; NULL: there is none. One value more than asked for, so that no two lists are the same. */
struct logic_value *machine_values(struct machine *machine, size_t count);

/* find.c. What stands at the end of a path; NULL: nothing. */
#define NAMES_A_STEP 8 /* that are looked at */
static inline const struct logic_value *member_of(const struct logic_value *object, struct slice name) {
    for (uint32_t i = 0; i < object->count; i++) {
        const struct logic_member *member = object->members + i;
        if (member->name.len == name.len && bytes_equal(member->name.ptr, name.ptr, name.len)) return &member->value;
    }
    return NULL;
}

const struct logic_value *find_name(struct machine *machine, const struct logic_value *data, struct slice name);
const struct logic_value *find_names(struct machine *machine, const struct logic_value *names, size_t count);
const struct logic_value *find_path(struct machine *machine,
                                    const struct logic_value *path); /* any value, as `var` takes it */
const struct logic_value *find_flagd(struct machine *machine);
struct logic_value find_missing(struct machine *machine, const struct logic_value *keys, size_t count);
struct logic_value find_missing_some(struct machine *machine, const struct logic_value *arguments);

/* loop.c. The result of the loop at `step`. */
struct logic_value loop_over(struct machine *machine, const struct logic_step *step);

/* fraction.c. The step at which evaluating goes on. */
uint32_t fraction_of(struct machine *machine, const struct logic_step *step);
/* How values[at …] begins of a fraction: the sum of the weights, and in `count`: */
#define FRACTION_BY_VALUE 1u /* what to go by lies on the stack */
#define FRACTION_COMPUTED 2u /* so do the weights, above it */
/* Then one value an entry, the sum of the weights up to it and in `count` its step, and one more, the step where there is no result. */
#define FRACTION_WEIGHT_MAX 2147483647

/* arguments.c. What an operation makes of its arguments. */
struct logic_value machine_apply(struct machine *machine, const struct logic_step *step,
                                 const struct logic_value *arguments);
bool machine_in_list(struct machine *machine, const struct logic_value *value, const struct logic_value *items,
                     size_t count);

/* An order in which texts are found fast: by their lengths, then by their bytes. */
static inline int text_place(struct slice a, struct slice b) {
    if (a.len != b.len) return a.len < b.len ? -1 : 1;
    return a.len ? memcmp(a.ptr, b.ptr, a.len) : 0;
}
bool machine_in_texts(const struct logic_value *value, const struct logic_value *texts, size_t count);

/* text.c. String(value); what is no text yet is made in the scratch. */
struct slice machine_text(struct machine *machine, const struct logic_value *value);
struct logic_value machine_join(struct machine *machine, const struct logic_value *values, size_t count);
struct logic_value machine_part(struct machine *machine, const struct logic_value *arguments, size_t count);

/* compare.c */
#define LONG_TEXT 64 /* from here on, comparing costs steps */
bool value_truth(const struct logic_value *value);
bool value_same(const struct logic_value *a, const struct logic_value *b);                           /* === */
bool value_equal(struct machine *machine, const struct logic_value *a, const struct logic_value *b); /* == */
bool value_less(struct machine *machine, const struct logic_value *a, const struct logic_value *b);
bool value_less_equal(struct machine *machine, const struct logic_value *a, const struct logic_value *b);

/* number.c. NaN when it is none. */
double value_number(const struct logic_value *value); /* Number(value) */
double value_parsed(const struct logic_value *value); /* parseFloat(value) */
/* Writes String(number), at most LOGIC_NUMBER_ROOM bytes, and answers their number. */
size_t number_text(double number, char *at);

/* version.c */
enum sem_ver_operator {
    VERSION_EQUAL,
    VERSION_NOT_EQUAL,
    VERSION_LESS,
    VERSION_LESS_EQUAL,
    VERSION_GREATER,
    VERSION_GREATER_EQUAL,
    VERSION_SAME_MAJOR,
    VERSION_SAME_MINOR,
};
/* False: there is no such operator. */
bool sem_ver_operator_of(struct slice text, enum sem_ver_operator *ret);
/* Null: one of them is no version. */
struct logic_value sem_ver_compare(const struct logic_value *a, enum sem_ver_operator operator_,
                                   const struct logic_value *b);
bool sem_ver_is(const struct logic_value *value);

#endif
