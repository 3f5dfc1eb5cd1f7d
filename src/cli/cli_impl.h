/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the command line share. Strings live in the arena of the struct cli, or in its argv. */
#ifndef SERIN_CLI_IMPL_H
#define SERIN_CLI_IMPL_H

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "flags/flags.h"
#include "model/source.h"
#include "ops/table.h"

#include <stdio.h>

/* ---- the table of commands (commands.c) ---- */

enum command_id {
#define COMMAND(id, ...) COMMAND_##id,
#include "cli/cli.def"
    COMMAND_COUNT_
};

enum arg_kind {
    ARG_TEXT,
    ARG_NUMBER,
    ARG_SWITCH, /* takes no value; metavar is the value that it stands for */
    ARG_AGENT,
    ARG_ENVIRONMENT,
    ARG_OWN_ENVIRONMENT, /* the configured one when it is not given */
    ARG_SPEC,            /* agent@version */
    ARG_VERSION,
    ARG_MOMENT,
    ARG_ROLE,
    ARG_SOURCE, /* folder or file to push */
    ARG_FILE,
    ARG_SHELL,
    ARG_PAIR, /* name=value */
    ARG_JSON,
    ARG_FLAG, /* a flag's key */
    ARG_WAIT, /* --wait, which stands for WAIT_ALONE, or --wait=SECONDS */
};
enum arg_count { ARG_OPTIONAL, ARG_ONE, ARG_ANY, ARG_MANY };

#define WAIT_ALONE "10"
#define WAIT_MAX_S 86400

struct arg {
    enum command_id command;
    const char *param;
    const char *flag; /* "--environment"; NULL: positional */
    char letter;      /* 'e' or 0 */
    const char *metavar;
    enum arg_kind kind;
    enum arg_count count;
    const char *doc;
};

struct cli;
struct command {
    enum command_id id;
    unsigned group;
    const char *words; /* "agent create" */
    unsigned op_id;    /* OP_COUNT_: none */
    int (*run)(struct cli *cli, struct err *err);
    const char *own_summary, *own_description; /* "": the operation's */
};

struct example {
    enum command_id command;
    const char *line, *doc;
};

enum view_type { VIEW_FIELDS, VIEW_TABLE, VIEW_COLUMN, VIEW_SAY };
enum style {
    STYLE_TEXT, /* may be cut to fit a terminal */
    STYLE_PLAIN,
    STYLE_NAME,
    STYLE_NUMBER,
    STYLE_FIGURE, /* a measured number, in four digits */
    STYLE_TIME,
    STYLE_DATE, /* a time without how long ago */
    STYLE_HASH,
    STYLE_KIND,
    STYLE_YES,  /* yes or no */
    STYLE_WARN, /* stands out when it is there and not false */
    STYLE_GOOD,
    STYLE_LIST,
    STYLE_MOVES, /* list of {agent, version} */
    STYLE_JSON,  /* any value */
};
struct view_row {
    enum command_id command;
    enum view_type type;
    const char *path;  /* a say's condition */
    const char *title; /* a say's template */
    const char *empty;
    enum style style;
};

/* Rows of one command stand side by side in each list. */
const struct command *command_get(enum command_id id);
const struct op *command_op(const struct command *command); /* or NULL */
const char *command_summary(const struct command *command);
const char *command_description(const struct command *command);
const char *command_group(unsigned group); /* NULL past the last */
const struct example *command_examples(const struct command *command, size_t *ret_count);
const struct view_row *command_view(const struct command *command, size_t *ret_count);
/* All its arguments: positional ones first, then its own options, then what its operation and every command take. */
#define COMMAND_ARGS_MAX 32
size_t command_args(const struct command *command, const struct arg *ret[COMMAND_ARGS_MAX]);
bool arg_is_global(const struct arg *arg);
/* Its text; the operation's parameter says it when the table is silent. */
const char *arg_doc(const struct command *command, const struct arg *arg);
/* The command that the first of the words name, and how many words that are; NULL when there is none. */
const struct command *command_find(int argc, char *const *argv, int *ret_words);
/* Whether a command begins with the word, and has more. */
bool command_is_prefix(const char *word);

/* ---- arguments (args.c) ---- */

struct arg_value {
    const struct arg *arg;
    const char *value;
};
struct args {
    const struct command *command;
    struct arg_value *values; /* in the order of the command line */
    size_t count;
};

/* Parses what stands behind the command's words. USAGE with the place and, where one is near, a suggestion. */
int args_parse(const struct command *command, int argc, char *const *argv, struct arena *arena, struct args *ret,
               struct err *err) MUST_CHECK;
/* The first value, or NULL; the values behind it by args_next() with *index = 0 at first. */
const char *args_get(const struct args *args, const char *param);
const char *args_next(const struct args *args, const char *param, size_t *index);
bool args_on(const struct args *args, const char *param); /* a switch */

/* ---- the world around (cli.c makes the real one, tests their own) ---- */

struct cli_request {
    const char *method, *url;
    const char *key;             /* or NULL */
    const char *idempotency_key; /* or NULL */
    struct slice body;           /* ptr NULL: none */
    int64_t timeout_ms;          /* 0 = none: for streams */
    /* When set, the body of a 2xx answer goes there in pieces as it comes; other than 0 ends the request with UNAVAILABLE. */
    int (*data)(void *ctx, const char *bytes, size_t len);
    void *data_ctx;
};
struct cli_response {
    int status;
    struct str body;
};
/* One HTTP request. CONNECT: nothing was sent. UNAVAILABLE: the connection was lost in between. TIMEOUT. */
struct cli_transport {
    void *ctx;
    int (*request)(void *ctx, const struct cli_request *request, struct cli_response *ret, struct err *err);
    void (*pause)(void *ctx, unsigned milliseconds); /* between two tries */
};

struct cli_world {
    FILE *out, *err;
    bool out_is_terminal, err_is_terminal;
    unsigned width; /* of the terminal; 0: unknown */
    char *const *environment;
    const char *who; /* "user@host" */
    const struct clock *clock;
    const struct cli_transport *transport;
};

/* Where the server is and who asks (profile.c). */
struct profile {
    const char *url; /* without a slash at the end */
    const char *key; /* or NULL; never printed */
    const char *environment;
};
int profile_load(const struct cli_world *world, const struct args *args, struct arena *arena, struct profile *ret,
                 struct err *err) MUST_CHECK;
const char *world_variable(const struct cli_world *world, const char *name); /* NULL when unset or empty */

struct cli {
    const struct cli_world *world;
    const struct cli_local *locals;
    size_t local_count;
    struct arena arena;
    struct args args;
    struct profile profile;
    const char *context; /* of the call that is being built: JSON, or NULL */
    bool json, colour, err_colour;
    int64_t timeout_ms;
};

/* The whole program in a given world. */
int cli_run(const struct cli_world *world, int argc, char *const *argv, const struct cli_local *locals,
            size_t local_count);
/* A line on standard error: as it is, or as a remark of the program's. */
void cli_print_line(const struct cli *cli, const char *text);
void cli_note(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The network (fetch/fetch.h): http and https, no redirects. */
int transport_new(struct cli_transport **ret, struct err *err) MUST_CHECK;
void transport_free(struct cli_transport *transport);
DEFINE_CLEANUP(struct cli_transport *, transport_free)

/* ---- calls (request.c, client.c) ---- */

struct call {
    const struct op *op; /* NULL: a path outside of /v1 */
    const char *path;    /* with its query; behind the server's address */
    const char *body;    /* JSON, or NULL */
    bool once;           /* not tried again */
};
struct answer {
    int status;
    struct str body;
    json_t *json;
};
void answer_deinit(struct answer *answer);

/* Builds the call of an operation from the arguments of the same names. */
int call_build(struct cli *cli, const struct op *op, struct call *ret, struct err *err) MUST_CHECK;
/* What --context, --attr and --user say together: an object, for the caller to let go. USAGE or INVALID at --context. */
int context_of_args(const struct args *args, json_t **ret, struct err *err) MUST_CHECK;
/* Appends percent-encoded text. */
void url_add(struct str *out, const char *text);
/* Sends it. A change goes with an Idempotency-Key and is tried again, with the same key, while its outcome is unknown. On a
 * problem `ret` holds it too; err is made from it. */
int call_send(struct cli *cli, const struct call *call, struct answer *ret, struct err *err) MUST_CHECK;
/* Reads an answer's JSON; an error when it is a problem (printed with --json), or not Serin's. */
int call_judge(struct cli *cli, struct answer *answer, struct err *err) MUST_CHECK;
/* As call_send(), but once; nothing of it stays in the arena, and with --json a problem is not printed: for what asks again and again. */
int call_again(struct cli *cli, const struct call *call, struct answer *ret, struct err *err) MUST_CHECK;
/* call_build() and call_send(). */
int call_op(struct cli *cli, const struct op *op, struct answer *ret, struct err *err) MUST_CHECK;

/* ---- until everybody has it (wait.c) ---- */

/* Behind a change that was answered and shown: with --wait, waits until all streams that confirm changes have confirmed this one. 0: they
 * have, or there is nothing to wait for; 1: some are missing, and named. The environment is the argument's, or that of a release. */
int wait_confirmed(struct cli *cli, const struct answer *change, struct err *err) MUST_CHECK;

/* ---- answers for people (view.c) ---- */

/* Prints the answer by the view of the command: bytes as they are with --json. */
int view_print(struct cli *cli, const struct answer *answer, struct err *err) MUST_CHECK;
/* Indented JSON; NULL is an error: an answer that lacks it. */
int view_print_json(struct cli *cli, const json_t *value, struct err *err) MUST_CHECK;
/* Bytes as they are, a newline at the end; on a terminal made safe. */
int view_print_raw(struct cli *cli, struct slice bytes, struct err *err) MUST_CHECK;
/* Writes to standard output. */
int cli_write(struct cli *cli, const struct str *text, struct err *err) MUST_CHECK;

/* ---- files that people write (document.c) ---- */

/* A JSON or YAML file, with the places of its values. */
struct document_file {
    const char *path;
    struct source_document document;
};
void document_file_deinit(struct document_file *file);
/* `path` "-": standard input. 1: it could not be read as JSON or YAML, and that is printed with its place. FILE, TOO_LARGE. */
int document_file_read(struct cli *cli, const char *path, struct document_file *ret, struct err *err) MUST_CHECK;
/* Prints a fault of a value in it, by the pointer in the fault; `file` without a path: by the pointer alone. */
void document_fault_print(const struct cli *cli, const struct document_file *file, const struct fault *fault);
/* file:line:column: message (pointer). Row 0: without line and column. */
void cli_print_fault(const struct cli *cli, const char *file, unsigned row, unsigned column, const struct fault *fault);

/* ---- flags (flag_wish.c, flag_document.c, flag_try.c, flag_population.c) ---- */

/* A flag as the command line describes it: by a file or in short, and what it is bound to. */
struct flag_wish {
    json_t *definition, *bindings; /* bindings NULL: not said */
    struct document_file file;     /* without a path when it was described in short */
};
/* 1: faults were printed. */
int flag_wish_read(struct cli *cli, struct flag_wish *ret, struct err *err) MUST_CHECK;
void flag_wish_deinit(struct flag_wish *wish);
/* Prints faults or warnings that point to /definition and /bindings: the server's list, and one's own. */
void flag_wish_told(const struct cli *cli, const struct flag_wish *wish, const json_t *list, bool warning);
void flag_wish_faults(const struct cli *cli, const struct flag_wish *wish, const struct faults *faults);

/* Makes a flag of a fetched flag_document. *ret NULL: it has none of that key. INVALID: this program cannot read it. */
int flag_of_document(const json_t *answer, const char *key, struct flag **ret, struct err *err) MUST_CHECK;

/* Appends which branch of the definition's rule gave the result: "plan=pro", "otherwise"; nothing for a rule without branches. */
void flag_branch_words(const json_t *definition, const struct logic_trace *trace, struct str *out);

/* Made-up users with the attributes that rules read: values are drawn from the constants beside which the rules put an attribute, and others. The same seed makes the
 * same users. */
#define POPULATION_ATTRIBUTES_MAX 100
#define POPULATION_VALUES_MAX 100 /* of an attribute */
struct population_attribute {
    const char *path; /* "user.plan" */
    json_t *values;   /* array */
    bool is_id;       /* users are split by it: nearly everybody has another one */
};
struct population {
    struct arena *arena;
    struct population_attribute attributes[POPULATION_ATTRIBUTES_MAX];
    size_t count;
    json_t *keys; /* targeting keys that rules name: the first users have them */
    unsigned short dice[3];
    bool failed; /* memory ran out */
};
void population_init(struct population *population, int64_t seed, struct arena *arena);
void population_deinit(struct population *population);
/* Adds what a rule reads, with the rules that it refers to. */
void population_read(struct population *population, const json_t *rule, const json_t *evaluators);
/* Behind the last rule: what no constant stands beside gets values, too. */
int population_finish(struct population *population, struct err *err) MUST_CHECK;
/* The next user, a new reference; they count from 0. */
int population_user(struct population *population, int64_t number, json_t **ret, struct err *err) MUST_CHECK;

/* ---- a rollout_status (rollout_status.c) ---- */

/* Appends the whole of it for people; `watched`: as much as is looked at again and again. */
int rollout_draw(struct cli *cli, const json_t *status, bool watched, struct str *out, struct err *err) MUST_CHECK;
/* Appends it in one line, without its end. */
void rollout_line(const json_t *status, struct str *out);

/* ---- pages about commands (page.c, help.c) ---- */

/* One text in three forms. */
enum page_form { PAGE_TEXT, PAGE_MAN, PAGE_MARKDOWN };
struct page {
    enum page_form form;
    bool colour; /* TEXT only */
    struct str *out;
};
void page_title(struct page *page, const char *name, const char *summary);
void page_heading(struct page *page, const char *text);
void page_text(struct page *page, const char *text); /* paragraphs, separated by empty lines */
void page_usage(struct page *page, const char *line);
void page_item(struct page *page, const char *term, const char *text);
void page_example(struct page *page, const char *line, const char *doc);

/* "agent create" as a manual page's name: "serin-agent-create". */
void help_page_name(const char *words, char ret[64]);
/* Prints a page to standard output. */
int help_print_overview(struct cli *cli, struct err *err) MUST_CHECK;
int help_print_command(struct cli *cli, const struct command *command, struct err *err) MUST_CHECK;
int help_print_local(struct cli *cli, const struct cli_local *local, struct err *err) MUST_CHECK;
const struct cli_local *local_find(const struct cli *cli, const char *name);

/* ---- commands that run commands (demo.c) ---- */

#define LINE_WORDS_MAX 20
struct line {
    const char *words[LINE_WORDS_MAX];
    int count;
};
void line_add(struct line *line, const char *word);
void line_option(struct line *line, const char *flag, const char *value); /* value NULL: nothing */
int line_run(struct cli *cli, struct line *line); /* with this one's server and key; the exit code */

/* ---- what commands do: 0; below 0 an error to print; above 0 the exit code, everything being said ---- */

int run_answer(struct cli *cli, struct err *err);
int run_json(struct cli *cli, struct err *err);
int run_show(struct cli *cli, struct err *err);
int run_deploy(struct cli *cli, struct err *err);
int run_waited(struct cli *cli, struct err *err); /* run_answer(), then --wait */
int run_push(struct cli *cli, struct err *err);
int run_rollout_list(struct cli *cli, struct err *err);
int run_rollout_status(struct cli *cli, struct err *err);
int run_rollout_plan(struct cli *cli, struct err *err);
int run_replay(struct cli *cli, struct err *err);
int run_outcome(struct cli *cli, struct err *err);
int run_watch(struct cli *cli, struct err *err);
int run_flag_set(struct cli *cli, struct err *err);
int run_flag_get(struct cli *cli, struct err *err);
int run_flag_import(struct cli *cli, struct err *err);
int run_flag_export(struct cli *cli, struct err *err);
int run_flag_try(struct cli *cli, struct err *err);
int run_flag_preview(struct cli *cli, struct err *err);
int run_flag_explain(struct cli *cli, struct err *err);
int run_verify(struct cli *cli, struct err *err);
int run_status(struct cli *cli, struct err *err);
int run_demo_seed(struct cli *cli, struct err *err);
int run_demo_traffic(struct cli *cli, struct err *err);
int run_completion(struct cli *cli, struct err *err);
int run_help(struct cli *cli, struct err *err);
int run_version(struct cli *cli, struct err *err);
/* The words that may stand where the last one of `words` is, one a line: what completion scripts ask. */
int complete(struct cli *cli, int count, char *const *words);

#endif
