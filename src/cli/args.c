/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments are parsed by the rows of the command alone: --name VALUE, --name=VALUE, -x VALUE, -xVALUE, and `--` before words that
 * begin with a hyphen. Names are written out in full, so that a script goes on meaning the same when options are added.
 */
#include "base/suggest.h"
#include "cli/cli_impl.h"
#include "model/show.h"

#include <string.h>

struct parser {
    const struct command *command;
    const struct arg *args[COMMAND_ARGS_MAX];
    size_t arg_count;
    size_t next_positional; /* in `args` */
    int argc, index;
    char *const *argv;
    struct args *ret;
    struct err *err;
};

static int refuse(struct parser *parser, const char *at, int r) {
    err_at(parser->err, "%s", at);
    err_remedy(parser->err, "serin %s --help", parser->command->words);
    return r;
}

static bool repeats(const struct arg *arg) {
    return arg->count == ARG_ANY || arg->count == ARG_MANY;
}

static int check_once(struct parser *parser, const struct arg *arg) {
    for (size_t i = 0; !repeats(arg) && i < parser->ret->count; i++) {
        const struct arg *other = parser->ret->values[i].arg;
        if (strcmp(other->param, arg->param)) continue;
        if (other == arg)
            return refuse(parser, arg->flag, err_set(parser->err, ERR_USAGE, "%s is given twice", arg->flag));
        return refuse(parser, arg->flag,
                      err_set(parser->err, ERR_USAGE, "%s and %s do not go together", other->flag, arg->flag));
    }
    return 0;
}

/* What can be wrong with a value without asking the server. */
static int check_value(struct parser *parser, const struct arg *arg, const char *value) {
    const char *name = arg->flag ? arg->flag : arg->metavar;
    char shown[SHOW_SIZE];
    int64_t number;
    if (!*value && arg->count != ARG_OPTIONAL)
        return refuse(parser, name, err_set(parser->err, ERR_USAGE, "%s is empty", name));
    if (!utf8_valid(value, strlen(value)))
        return refuse(parser, name, err_set(parser->err, ERR_USAGE, "%s is not UTF-8", name));
    if (arg->kind == ARG_NUMBER && !text_to_int(value, 0, INT64_MAX, &number))
        return refuse(
            parser, name,
            err_set(parser->err, ERR_USAGE, "%s must be a whole number, not \"%s\"", name, show_text(value, shown)));
    if (arg->kind == ARG_JSON) {
        struct err why = ERR_INIT;
        json_t *json = NULL;
        int r = json_parse(value, strlen(value), JSON_DEPTH_MAX, &json, &why);
        json_decref(json);
        if (r == -ERR_NO_MEMORY) return err_no_memory(parser->err);
        if (r < 0)
            return refuse(parser, name, err_set(parser->err, ERR_USAGE, "%s must be JSON: %s", name, why.message));
    }
    if (arg->kind == ARG_PAIR && (!strchr(value, '=') || *value == '='))
        return refuse(
            parser, name,
            err_set(parser->err, ERR_USAGE, "%s must be NAME=VALUE, not \"%s\"", name, show_text(value, shown)));
    return 0;
}

static int add_value(struct parser *parser, const struct arg *arg, const char *value) {
    int r = arg->flag ? check_once(parser, arg) : 0;
    if (r == 0) r = check_value(parser, arg, value);
    if (r < 0) return r;
    parser->ret->values[parser->ret->count++] = (struct arg_value){arg, value};
    return 0;
}

static int unknown_option(struct parser *parser, const char *word, size_t len) {
    char name[64], shown[SHOW_SIZE];
    snprintf(name, sizeof(name), "%.*s", (int)(len < 63 ? len : 63), word);
    struct suggestion near = SUGGESTION_INIT(name);
    for (size_t i = 0; i < parser->arg_count; i++)
        suggestion_try(&near, parser->args[i]->flag);
    show_slice((struct slice){word, len}, shown);
    int r = near.best ? err_set(parser->err, ERR_USAGE, "unknown option %s; did you mean %s?", shown, near.best)
                      : err_set(parser->err, ERR_USAGE, "`serin %s` has no option %s", parser->command->words, shown);
    return refuse(parser, shown, r);
}

/* `value` is what was written together with the option, or NULL. */
static int take_option(struct parser *parser, const struct arg *arg, const char *name, const char *value) {
    if (arg->kind == ARG_SWITCH) {
        if (value) return refuse(parser, name, err_set(parser->err, ERR_USAGE, "%s takes no value", name));
        return add_value(parser, arg, arg->metavar);
    }
    if (!value && parser->index == parser->argc)
        return refuse(parser, name, err_set(parser->err, ERR_USAGE, "%s needs a value: %s", name, arg->metavar));
    return add_value(parser, arg, value ? value : parser->argv[parser->index++]);
}

static int read_long(struct parser *parser, const char *word) {
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    for (size_t i = 0; i < parser->arg_count; i++) {
        const struct arg *arg = parser->args[i];
        if (!arg->flag || strlen(arg->flag) != len || memcmp(arg->flag, word, len)) continue;
        return take_option(parser, arg, arg->flag, equals ? equals + 1 : NULL);
    }
    return unknown_option(parser, word, len);
}

static int read_short(struct parser *parser, const char *word) {
    for (size_t i = 0; i < parser->arg_count; i++) {
        const struct arg *arg = parser->args[i];
        if (!arg->flag || arg->letter != word[1]) continue;
        char name[] = {'-', arg->letter, '\0'};
        return take_option(parser, arg, name, word[2] ? word + 2 : NULL);
    }
    return unknown_option(parser, word, 2);
}

/* `env creat` may be meant for another command. */
static int unexpected(struct parser *parser, const char *word) {
    char shown[SHOW_SIZE], typed[128];
    snprintf(typed, sizeof(typed), "%s %.60s", parser->command->words, word);
    struct suggestion near = SUGGESTION_INIT(typed);
    size_t len = strlen(parser->command->words);
    for (unsigned id = 0; id < COMMAND_COUNT_; id++) {
        const char *words = command_get((enum command_id)id)->words;
        if (strlen(words) > len && !strncmp(words, typed, len + 1)) suggestion_try(&near, words);
    }
    show_text(word, shown);
    int r = near.best ? err_set(parser->err, ERR_USAGE, "unexpected argument \"%s\"; did you mean `serin %s`?", shown,
                                near.best)
                      : err_set(parser->err, ERR_USAGE, "unexpected argument \"%s\" behind `serin %s`", shown,
                                parser->command->words);
    return refuse(parser, shown, r);
}

static int read_positional(struct parser *parser, const char *word) {
    const struct arg *arg = parser->args[parser->next_positional];
    if (parser->next_positional == parser->arg_count || arg->flag) {
        return unexpected(parser, word);
    }
    if (!repeats(arg)) parser->next_positional++;
    return add_value(parser, arg, word);
}

static int check_missing(struct parser *parser) {
    for (size_t i = 0; i < parser->arg_count; i++) {
        const struct arg *arg = parser->args[i];
        bool needed = arg->count == ARG_ONE || arg->count == ARG_MANY;
        if (!needed || arg->kind == ARG_OWN_ENVIRONMENT || args_get(parser->ret, arg->param)) continue;
        int r = arg->flag ? err_set(parser->err, ERR_USAGE, "%s %s is missing", arg->flag, arg->metavar)
                          : err_set(parser->err, ERR_USAGE, "%s is missing", arg->metavar);
        return refuse(parser, "", r);
    }
    return 0;
}

int args_parse(const struct command *command, int argc, char *const *argv, struct arena *arena, struct args *ret,
               struct err *err) {
    struct parser parser = {.command = command, .argc = argc, .argv = argv, .ret = ret, .err = err};
    bool options_ended = false;
    parser.arg_count = command_args(command, parser.args);
    *ret = (struct args){.command = command};
    ret->values = arena_array(arena, (size_t)argc + 1, sizeof(*ret->values));
    if (!ret->values) return err_no_memory(err);
    while (parser.index < argc) {
        const char *word = argv[parser.index++];
        int r = 0;
        if (!options_ended && !strcmp(word, "--"))
            options_ended = true;
        else if (!options_ended && !strncmp(word, "--", 2))
            r = read_long(&parser, word);
        else if (!options_ended && word[0] == '-' && word[1])
            r = read_short(&parser, word);
        else
            r = read_positional(&parser, word);
        if (r < 0) return r;
    }
    return args_on(ret, "help") ? 0 : check_missing(&parser);
}

const char *args_next(const struct args *args, const char *param, size_t *index) {
    while (*index < args->count) {
        const struct arg_value *value = &args->values[(*index)++];
        if (!strcmp(value->arg->param, param)) return value->value;
    }
    return NULL;
}

const char *args_get(const struct args *args, const char *param) {
    size_t index = 0;
    return args_next(args, param, &index);
}

bool args_on(const struct args *args, const char *param) {
    const char *value = args_get(args, param);
    return value && !strcmp(value, "true");
}
