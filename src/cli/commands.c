/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_impl.h"

#include <string.h>

/* clang-format off */
static const char *const groups[] = {
#define GROUP(id, title) title,
#include "cli/cli.def"
};

enum group {
#define GROUP(id, title) GROUP_##id,
#include "cli/cli.def"
};

enum { OP_NONE = OP_COUNT_ };
static const struct command table[] = {
#define COMMAND(id, group, words, op, run, summary, description) \
    {COMMAND_##id, GROUP_##group, words, OP_##op, run_##run, summary, description},
#include "cli/cli.def"
};

static const struct arg positionals[] = {
#define POSITIONAL(command, param, metavar, kind, count, doc) \
    {COMMAND_##command, param, NULL, 0, metavar, ARG_##kind, ARG_##count, doc},
#include "cli/cli.def"
};

static const struct arg options[] = {
#define OPTION(command, param, flag, letter, metavar, kind, count, doc) \
    {COMMAND_##command, param, flag, letter, metavar, ARG_##kind, ARG_##count, doc},
#include "cli/cli.def"
};

static const struct arg commons[] = {
#define COMMON(param, flag, letter, metavar, kind, doc) \
    {COMMAND_COUNT_, param, flag, letter, metavar, ARG_##kind, ARG_OPTIONAL, doc},
#include "cli/cli.def"
};

static const struct arg change_options[] = {
#define CHANGE_OPTION(param, flag, letter, metavar, kind, doc) \
    {COMMAND_COUNT_, param, flag, letter, metavar, ARG_##kind, ARG_OPTIONAL, doc},
#include "cli/cli.def"
};

static const struct arg globals[] = {
#define GLOBAL(param, flag, letter, metavar, kind, doc) \
    {COMMAND_COUNT_, param, flag, letter, metavar, ARG_##kind, ARG_OPTIONAL, doc},
#include "cli/cli.def"
};

static const struct example examples[] = {
#define EXAMPLE(command, line, doc) {COMMAND_##command, line, doc},
#include "cli/cli.def"
};

static const struct view_row view_rows[] = {
#define FIELDS(command, path, title) {COMMAND_##command, VIEW_FIELDS, path, title, "", STYLE_TEXT},
#define TABLE(command, path, title, empty) {COMMAND_##command, VIEW_TABLE, path, title, empty, STYLE_TEXT},
#define COLUMN(command, title, path, style) {COMMAND_##command, VIEW_COLUMN, path, title, "", STYLE_##style},
#define SAY(command, condition, template) {COMMAND_##command, VIEW_SAY, condition, template, "", STYLE_TEXT},
#include "cli/cli.def"
};
/* clang-format on */

/* The rows of a command within a list whose members begin with its number. */
#define ROWS_OF(list, command_, ret_count)                                                                             \
    ({                                                                                                                 \
        size_t first_ = 0;                                                                                             \
        while (first_ < ARRAY_LEN(list) && (list)[first_].command != (command_)->id)                                   \
            first_++;                                                                                                  \
        size_t end_ = first_;                                                                                          \
        while (end_ < ARRAY_LEN(list) && (list)[end_].command == (command_)->id)                                       \
            end_++;                                                                                                    \
        *(ret_count) = end_ - first_;                                                                                  \
        (list) + first_;                                                                                               \
    })

const struct command *command_get(enum command_id id) {
    return &table[id];
}

const struct op *command_op(const struct command *command) {
    return command->op_id < OP_COUNT_ ? op_get((enum op_id)command->op_id) : NULL;
}

const char *command_summary(const struct command *command) {
    return *command->own_summary || !command_op(command) ? command->own_summary : command_op(command)->summary;
}

const char *command_description(const struct command *command) {
    bool own = *command->own_description || *command->own_summary || !command_op(command);
    return own ? command->own_description : command_op(command)->description;
}

const char *command_group(unsigned group) {
    return group < ARRAY_LEN(groups) ? groups[group] : NULL;
}

const struct example *command_examples(const struct command *command, size_t *ret_count) {
    return ROWS_OF(examples, command, ret_count);
}

const struct view_row *command_view(const struct command *command, size_t *ret_count) {
    return ROWS_OF(view_rows, command, ret_count);
}

struct arg_list {
    const struct arg **args;
    size_t count;
};

/* An option of the command's own takes the place of a common one for the same parameter. */
static void list_add(struct arg_list *list, const struct arg *args, size_t count, const struct op *needed_by) {
    for (size_t i = 0; i < count && list->count < COMMAND_ARGS_MAX; i++) {
        bool present = false;
        for (size_t j = 0; args[i].command == COMMAND_COUNT_ && j < list->count; j++)
            present |= !strcmp(list->args[j]->param, args[i].param);
        if (present || (needed_by && !op_param(needed_by, args[i].param))) continue;
        list->args[list->count++] = &args[i];
    }
}

size_t command_args(const struct command *command, const struct arg *ret[COMMAND_ARGS_MAX]) {
    struct arg_list list = {.args = ret};
    const struct op *op = command_op(command);
    size_t count;
    const struct arg *own = ROWS_OF(positionals, command, &count);
    list_add(&list, own, count, NULL);
    own = ROWS_OF(options, command, &count);
    list_add(&list, own, count, NULL);
    if (op) list_add(&list, commons, ARRAY_LEN(commons), op);
    if (op && op->kind == OP_CHANGE) list_add(&list, change_options, ARRAY_LEN(change_options), NULL);
    list_add(&list, globals, ARRAY_LEN(globals), NULL);
    return list.count;
}

bool arg_is_global(const struct arg *arg) {
    return arg >= globals && arg < globals + ARRAY_LEN(globals);
}

const char *arg_doc(const struct command *command, const struct arg *arg) {
    const struct op *op = command_op(command);
    const struct op_param *param = op && !*arg->doc ? op_param(op, arg->param) : NULL;
    return param ? param->doc : arg->doc;
}

/* How many of the words the command's own words match: all of them, or none. */
static int match_words(const char *words, int argc, char *const *argv) {
    int matched = 0;
    for (const char *p = words; *p; matched++) {
        size_t len = strcspn(p, " ");
        if (matched == argc || strlen(argv[matched]) != len || memcmp(argv[matched], p, len)) return 0;
        p += len;
        p += strspn(p, " ");
    }
    return matched;
}

const struct command *command_find(int argc, char *const *argv, int *ret_words) {
    const struct command *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int matched = match_words(table[i].words, argc, argv);
        if (matched <= *ret_words) continue;
        found = &table[i];
        *ret_words = matched;
    }
    return found;
}

bool command_is_prefix(const char *word) {
    size_t len = strlen(word);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (!strncmp(table[i].words, word, len) && table[i].words[len] == ' ') return true;
    return false;
}
