/* SPDX-License-Identifier: Apache-2.0 */
/* The options of commands that the server brings along. What is left of the arguments are settings, which all take a value. */
#include "base/suggest.h"
#include "cli/cli_impl.h"
#include "config/config.h"
#include "model/show.h"

#include <string.h>

struct taking {
    const struct cli_options *options;
    const char **values;
    char **argv;
    int argc, index, kept;
    struct err *err;
};

static int refuse(struct taking *taking, const char *at, int r) {
    err_at(taking->err, "%s", at);
    err_remedy(taking->err, "serin %s --help", taking->options->command);
    return r;
}

static bool is_setting(const char *name, size_t len) {
    char flag[SETTING_NAME_SIZE] = "--settings";
    for (unsigned id = 0; id <= SETTING_COUNT_; id++) {
        if (strlen(flag) == len && !memcmp(flag, name, len)) return true;
        if (id < SETTING_COUNT_) setting_flag(setting_get((enum setting_id)id), flag);
    }
    return false;
}

static int unknown(struct taking *taking, const char *word, size_t len) {
    char name[64], shown[SHOW_SIZE], flags[SETTING_COUNT_][SETTING_NAME_SIZE];
    snprintf(name, sizeof(name), "%.*s", (int)(len < 63 ? len : 63), word);
    struct suggestion near = SUGGESTION_INIT(name);
    suggestion_try(&near, "--settings");
    for (size_t i = 0; i < taking->options->count; i++)
        suggestion_try(&near, taking->options->items[i].flag);
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        setting_flag(setting_get((enum setting_id)id), flags[id]);
        suggestion_try(&near, flags[id]);
    }
    show_slice((struct slice){word, len}, shown);
    int r = near.best ? err_set(taking->err, ERR_USAGE, "unknown option %s; did you mean %s?", shown, near.best)
                      : err_set(taking->err, ERR_USAGE, "`serin %s` has no option %s", taking->options->command, shown);
    return refuse(taking, shown, r);
}

static int put(struct taking *taking, size_t i, const char *value) {
    const struct cli_option *option = &taking->options->items[i];
    const char *name = option->flag ? option->flag : option->metavar;
    if (taking->values[i]) return refuse(taking, name, err_set(taking->err, ERR_USAGE, "%s is given twice", name));
    if (option->metavar && !*value) return refuse(taking, name, err_set(taking->err, ERR_USAGE, "%s is empty", name));
    taking->values[i] = value;
    return 0;
}

/* A setting goes by, with its value when that is a word of its own. */
static void keep_setting(struct taking *taking, char *word, bool joined) {
    taking->argv[taking->kept++] = word;
    if (!joined && taking->index < taking->argc) taking->argv[taking->kept++] = taking->argv[taking->index++];
}

static int take_flag(struct taking *taking, char *word) {
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    for (size_t i = 0; i < taking->options->count; i++) {
        const struct cli_option *option = &taking->options->items[i];
        if (!option->flag || strlen(option->flag) != len || memcmp(option->flag, word, len)) continue;
        if (!option->metavar && equals)
            return refuse(taking, option->flag, err_set(taking->err, ERR_USAGE, "%s takes no value", option->flag));
        if (!option->metavar) return put(taking, i, "");
        if (!equals && taking->index == taking->argc)
            return refuse(taking, option->flag,
                          err_set(taking->err, ERR_USAGE, "%s needs a value: %s", option->flag, option->metavar));
        return put(taking, i, equals ? equals + 1 : taking->argv[taking->index++]);
    }
    if (!is_setting(word, len)) return unknown(taking, word, len);
    keep_setting(taking, word, equals != NULL);
    return 0;
}

static int take_word(struct taking *taking, const char *word) {
    char shown[SHOW_SIZE];
    for (size_t i = 0; i < taking->options->count; i++)
        if (!taking->options->items[i].flag && !taking->values[i]) return put(taking, i, word);
    show_text(word, shown);
    return refuse(taking, shown,
                  err_set(taking->err, ERR_USAGE, "unexpected argument \"%s\" behind `serin %s`", shown,
                          taking->options->command));
}

static int check_missing(struct taking *taking) {
    for (size_t i = 0; i < taking->options->count; i++) {
        const struct cli_option *option = &taking->options->items[i];
        const char *name = option->flag ? option->flag : option->metavar;
        if (option->needed && !taking->values[i])
            return refuse(taking, name, err_set(taking->err, ERR_USAGE, "%s is missing", name));
    }
    return 0;
}

int cli_options_take(const struct cli_options *options, int *argc, char **argv, const char **values, struct err *err) {
    struct taking taking = {.options = options, .values = values, .argv = argv, .argc = *argc, .err = err};
    bool flags_ended = false;
    for (size_t i = 0; i < options->count; i++)
        values[i] = NULL;
    while (taking.index < taking.argc) {
        char *word = argv[taking.index++];
        int r = 0;
        if (!flags_ended && !strcmp(word, "--"))
            flags_ended = true;
        else if (!flags_ended && word[0] == '-' && word[1])
            r = take_flag(&taking, word);
        else
            r = take_word(&taking, word);
        if (r < 0) return r;
    }
    *argc = taking.kept;
    return check_missing(&taking);
}
