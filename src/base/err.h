/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors.
 *
 * A fallible function returns an int: 0 is success; below 0 is a failure, to be passed up unchanged;
 * above 0 is an outcome that the function's header documents. A failure is always -(enum err_code).
 * The words go into a struct err that the caller owns: what is wrong (`message`), where in the input
 * (`at`: a JSON pointer, a parameter's name, or a file; `line` and `column` when known) and what to do
 * (`remedy`). There is no thread-local last error. A function given `struct err *` accepts NULL.
 *
 * The codes stand in err.def; the HTTP status, the title and the docs come from there. The same code
 * appears in the HTTP answer, in the command line's output and in the log.
 */
#ifndef SERIN_BASE_ERR_H
#define SERIN_BASE_ERR_H

#include "base/mem.h"

#include <stddef.h>

enum err_code {
    ERR_NONE = 0,
#define ERR(id, name, status, title, remedy) ERR_##id,
#include "base/err.def"
#undef ERR
    ERR_CODE_COUNT_
};

struct err {
    enum err_code code;
    char message[480];
    char at[240];
    char remedy[240]; /* empty: the code's own remedy is shown */
    unsigned line;    /* 1-based, 0 = unknown */
    unsigned column;  /* 1-based, 0 = unknown */
};

#define ERR_INIT ((struct err){0})

/* Sets code and message, clears the place and the remedy; returns -code. Cuts over-long text at a UTF-8 border. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Sets the place, the position or the remedy of an error already set. */
void err_at(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_position(struct err *err, unsigned line, unsigned column);
void err_remedy(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts text before the message: "reading agent.yaml: …". */
void err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* As err_set() with the text of `errnum` (an errno value) behind the message. */
int err_set_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...) PRINTF_LIKE(4, 5);
int err_no_memory(struct err *err);
/* The static analyzer looks at one file at a time: here it learns that an error set is a failure. */
#if defined(__clang_analyzer__) && !defined(ERR_IMPLEMENTATION)
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_set_errno(...) (err_set_errno(__VA_ARGS__), -1)
#define err_no_memory(err) (err_no_memory(err), -1)
#endif

const char *err_name(enum err_code code);           /* "not_deployed" */
const char *err_title(enum err_code code);          /* "Nothing is deployed there" */
const char *err_advice(enum err_code code);         /* the remedy that goes for every case of this code */
int err_status(enum err_code code);                 /* HTTP status */
const char *err_remedy_text(const struct err *err); /* its own remedy, else the code's */
/* The code with that name, or ERR_NONE. */
enum err_code err_by_name(const char *name);

/* One fault of an input that has many. Strings live in the list's arena. */
struct fault {
    const char *at;            /* JSON pointer, "" = the whole document */
    const char *message;       /* what is wrong and what is expected */
    unsigned line, column;     /* of the source text, 0 = unknown */
    int warning;               /* 1: told to the user, does not refuse the input */
    const char *code, *remedy; /* of this fault alone; NULL: those of the error */
};

/* A list of faults with its own arena, so that all faults of an input are told at once. At most
 * FAULTS_MAX are kept; `dropped` counts the rest. */
#define FAULTS_MAX 200
struct faults {
    struct arena arena;
    struct fault *items;
    size_t count, capacity;
    size_t dropped;
    size_t errors; /* how many items or dropped ones are no warnings */
    int failed;    /* memory ran out while adding */
};

#define FAULTS_INIT ((struct faults){0})
void faults_deinit(struct faults *faults);
/* Adds an error. `at` is copied. The returned fault stays valid until the next call; NULL when dropped. */
struct fault *faults_add(struct faults *faults, const char *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct fault *faults_warn(struct faults *faults, const char *at, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
