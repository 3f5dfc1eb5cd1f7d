/* SPDX-License-Identifier: Apache-2.0 */
/* What a command is, takes and does: help, manual pages and reference from the same rows. */
#include "base/suggest.h"
#include "cli/cli_impl.h"
#include "config/config.h"
#include "model/show.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void help_page_name(const char *words, char ret[64]) {
    snprintf(ret, 64, "serin%s%s", *words ? "-" : "", words);
    for (char *p = ret; *p; p++)
        if (*p == ' ') *p = '-';
}

/* ---- one command ---- */

static void add_metavar(struct str *out, const struct arg *arg) {
    bool optional = arg->count == ARG_OPTIONAL || arg->count == ARG_ANY;
    bool many = arg->count == ARG_ANY || arg->count == ARG_MANY;
    str_printf(out, " %s%s%s%s", optional ? "[" : "", arg->metavar, many ? "…" : "", optional ? "]" : "");
}

/* "-e, --environment ENV" */
static void add_term(struct str *out, const struct arg *arg) {
    if (!arg->flag) {
        str_add_text(out, arg->metavar);
        if (arg->count == ARG_ANY || arg->count == ARG_MANY) str_add_text(out, "…");
        return;
    }
    if (arg->letter) str_printf(out, "-%c, ", arg->letter);
    str_add_text(out, arg->flag);
    if (arg->kind == ARG_WAIT)
        str_printf(out, "[=%s]", arg->metavar);
    else if (arg->kind != ARG_SWITCH)
        str_printf(out, " %s", arg->metavar);
}

/* Positional arguments and the options without which the command says nothing. */
static void add_usage(const struct command *command, struct page *page) {
    _cleanup_(str_deinit) struct str line = STR_INIT;
    const struct arg *args[COMMAND_ARGS_MAX];
    size_t count = command_args(command, args);
    str_printf(&line, "serin %s", command->words);
    for (size_t i = 0; i < count; i++)
        if (!args[i]->flag) add_metavar(&line, args[i]);
    for (size_t i = 0; i < count; i++) {
        bool needed = args[i]->flag && (args[i]->count == ARG_ONE || args[i]->count == ARG_MANY);
        if (!needed) continue;
        if (args[i]->letter)
            str_printf(&line, " -%c %s", args[i]->letter, args[i]->metavar);
        else
            str_printf(&line, " %s %s", args[i]->flag, args[i]->metavar);
        if (args[i]->count == ARG_MANY) str_add_text(&line, "…");
    }
    str_add_text(&line, " [options]");
    if (!line.failed) page_usage(page, line.data);
    page->out->failed |= line.failed;
}

enum section { SECTION_ARGUMENTS, SECTION_OPTIONS, SECTION_GLOBAL };

static enum section section_of(const struct arg *arg) {
    if (!arg->flag) return SECTION_ARGUMENTS;
    return arg_is_global(arg) ? SECTION_GLOBAL : SECTION_OPTIONS;
}

static void add_section(const struct command *command, enum section section, const char *heading, struct page *page) {
    const struct arg *args[COMMAND_ARGS_MAX];
    size_t count = command_args(command, args);
    bool begun = false;
    for (size_t i = 0; i < count; i++) {
        _cleanup_(str_deinit) struct str term = STR_INIT;
        if (section_of(args[i]) != section) continue;
        if (!begun) page_heading(page, heading);
        begun = true;
        add_term(&term, args[i]);
        if (!term.failed) page_item(page, term.data, arg_doc(command, args[i]));
        page->out->failed |= term.failed;
    }
}

static void add_examples(const struct command *command, struct page *page) {
    size_t count;
    const struct example *examples = command_examples(command, &count);
    if (count) page_heading(page, "Examples");
    for (size_t i = 0; i < count; i++)
        page_example(page, examples[i].line, examples[i].doc);
}

static void add_operation(const struct command *command, struct page *page) {
    char text[256];
    const struct op *op = command_op(command);
    if (!op) return;
    snprintf(text, sizeof(text), "Asks the server by `%s /v1%s`; the key needs the role %s or one above it.",
             op_method_name(op->method), op->path, role_name(op->role));
    page_text(page, text);
}

static void write_command(const struct command *command, struct page *page) {
    char name[64];
    help_page_name(command->words, name);
    if (page->form == PAGE_MARKDOWN) snprintf(name, sizeof(name), "serin %s", command->words);
    page_title(page, name, command_summary(command));
    add_usage(command, page);
    page_text(page, command_description(command));
    add_operation(command, page);
    add_section(command, SECTION_ARGUMENTS, "Arguments", page);
    add_section(command, SECTION_OPTIONS, "Options", page);
    if (page->form != PAGE_MARKDOWN) add_section(command, SECTION_GLOBAL, "Options of every command", page);
    add_examples(command, page);
}

/* ---- a command that the server brings along ---- */

static void add_own_option(const struct cli_option *option, struct page *page) {
    char term[64];
    const char *flag = option->flag ? option->flag : "", *metavar = option->metavar ? option->metavar : "";
    snprintf(term, sizeof(term), "%s%s%s", flag, *flag && *metavar ? " " : "", metavar);
    page_item(page, term, option->doc);
}

static void add_own_options(const struct cli_options *options, bool flags, struct page *page) {
    for (size_t i = 0; i < options->count; i++)
        if (!options->items[i].flag == !flags) add_own_option(&options->items[i], page);
}

static bool has_arguments(const struct cli_options *options) {
    for (size_t i = 0; i < options->count; i++)
        if (!options->items[i].flag) return true;
    return false;
}

static void add_settings(struct page *page) {
    page_item(page, "--settings FILE", "Reads settings from a file of `name = value` lines");
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        const struct setting *setting = setting_get((enum setting_id)id);
        char flag[SETTING_NAME_SIZE], term[SETTING_NAME_SIZE + 16], text[512];
        setting_flag(setting, flag);
        snprintf(term, sizeof(term), "%s %s", flag, setting->type == SETTING_INT ? "N" : "TEXT");
        snprintf(text, sizeof(text), "%s (default: %s)", setting->doc, *setting->preset ? setting->preset : "none");
        page_item(page, term, text);
    }
}

static void add_lines(const char *lines, struct page *page) {
    if (*lines) page_heading(page, "Examples");
    while (*lines) {
        size_t len = strcspn(lines, "\n");
        char *line = strndup(lines, len);
        if (!line) page->out->failed = true;
        if (line) page_example(page, line, "");
        free(line);
        lines += len + (lines[len] == '\n');
    }
}

static void write_local(const struct cli_local *local, struct page *page) {
    char name[64], usage[96];
    help_page_name(local->name, name);
    if (page->form == PAGE_MARKDOWN) snprintf(name, sizeof(name), "serin %s", local->name);
    static const struct cli_options none = {0};
    const struct cli_options *options = local->options ? local->options : &none;
    int len = snprintf(usage, sizeof(usage), "serin %s", local->name);
    for (size_t i = 0; i < options->count; i++)
        if (!options->items[i].flag)
            len += snprintf(usage + len, sizeof(usage) - (size_t)len, " %s", options->items[i].metavar);
    snprintf(usage + len, sizeof(usage) - (size_t)len, " [options]");
    page_title(page, name, local->summary ? local->summary : local->name);
    page_usage(page, usage);
    page_text(page, local->help ? local->help : "");
    if (has_arguments(options)) page_heading(page, "Arguments");
    add_own_options(options, false, page);
    if (options->count || local->settings) page_heading(page, "Options");
    add_own_options(options, true, page);
    if (local->settings) add_settings(page);
    add_lines(local->examples ? local->examples : "", page);
}

/* ---- all commands ---- */

static void add_environment(struct page *page) {
    page_heading(page, "Environment");
    page_item(page, "SERIN_URL", "The server's address");
    page_item(page, "SERIN_KEY", "The API key");
    page_item(page, "NO_COLOR", "Print without colour");
    page_heading(page, "Files");
    page_item(page, "~/.config/serin/config.toml",
              "Lines of server = \"…\", key = \"…\" and environment = \"…\"; with a key in it only you may be able to "
              "read it");
    page_heading(page, "Exit status");
    page_item(page, "0", "Done");
    page_item(page, "1", "It could not be done; standard error says why, where and what to try");
    page_item(page, "2", "The command line cannot be understood");
}

static void write_overview(const struct cli *cli, struct page *page) {
    if (page->form == PAGE_MARKDOWN)
        str_add_text(page->out, "# The command line\n");
    else
        page_title(page, "serin", "The release engine for AI agents");
    page_usage(page, "serin COMMAND [arguments] [options]");
    page_text(page,
              "Keeps every version of an agent's configuration, says which version each user gets, and moves that "
              "answer. `serin help COMMAND` explains a command.");
    for (unsigned group = 0; command_group(group); group++) {
        page_heading(page, command_group(group));
        for (unsigned id = 0; id < COMMAND_COUNT_; id++) {
            const struct command *command = command_get((enum command_id)id);
            if (command->group == group) page_item(page, command->words, command_summary(command));
        }
    }
    page_heading(page, "The server");
    for (size_t i = 0; i < cli->local_count; i++)
        if (cli->locals[i].summary) page_item(page, cli->locals[i].name, cli->locals[i].summary);
    add_section(command_get(COMMAND_version), SECTION_GLOBAL, "Options of every command", page);
    if (page->form != PAGE_TEXT) add_environment(page);
}

/* ---- printing ---- */

int help_print_overview(struct cli *cli, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    write_overview(cli, &(struct page){PAGE_TEXT, cli->colour, &out});
    return cli_write(cli, &out, err);
}

int help_print_command(struct cli *cli, const struct command *command, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    write_command(command, &(struct page){PAGE_TEXT, cli->colour, &out});
    return cli_write(cli, &out, err);
}

int help_print_local(struct cli *cli, const struct cli_local *local, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    write_local(local, &(struct page){PAGE_TEXT, cli->colour, &out});
    return cli_write(cli, &out, err);
}

static int print_markdown(struct cli *cli, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct page page = {PAGE_MARKDOWN, false, &out};
    write_overview(cli, &page);
    for (unsigned id = 0; id < COMMAND_COUNT_; id++)
        write_command(command_get((enum command_id)id), &page);
    for (size_t i = 0; i < cli->local_count; i++)
        if (cli->locals[i].summary) write_local(&cli->locals[i], &page);
    return cli_write(cli, &out, err);
}

/* ---- manual pages ---- */

static int write_failed(const char *path, int errnum, struct err *err) {
    int r = err_set_errno(err, ERR_FILE, errnum, "the manual pages cannot be written");
    err_at(err, "%s", path);
    return r;
}

static int write_man(const char *folder, const char *words, const struct str *text, struct err *err) {
    char path[4096], name[64];
    help_page_name(words, name);
    if (text->failed) return err_no_memory(err);
    int len = snprintf(path, sizeof(path), "%s/%s.1", folder, name);
    FILE *file = len > 0 && (size_t)len < sizeof(path) ? fopen(path, "we") : NULL;
    bool written = file && fwrite(text->data, 1, text->len, file) == text->len;
    if (file && fclose(file)) written = false;
    return written ? 0 : write_failed(path, errno, err);
}

static int write_man_pages(struct cli *cli, const char *folder, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct page page = {PAGE_MAN, false, &out};
    if (mkdir(folder, 0777) < 0 && errno != EEXIST) return write_failed(folder, errno, err);
    write_overview(cli, &page);
    int r = write_man(folder, "", &out, err);
    for (unsigned id = 0; r == 0 && id < COMMAND_COUNT_; id++) {
        const struct command *command = command_get((enum command_id)id);
        str_clear(&out);
        write_command(command, &page);
        r = write_man(folder, command->words, &out, err);
    }
    for (size_t i = 0; r == 0 && i < cli->local_count; i++) {
        if (!cli->locals[i].summary) continue;
        str_clear(&out);
        write_local(&cli->locals[i], &page);
        r = write_man(folder, cli->locals[i].name, &out, err);
    }
    return r;
}

/* ---- serin help ---- */

/* A word that several commands begin with. */
static int help_group(struct cli *cli, const char *word, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct page page = {PAGE_TEXT, cli->colour, &out};
    char usage[96];
    size_t len = strlen(word);
    snprintf(usage, sizeof(usage), "serin %.40s COMMAND [arguments] [options]", word);
    page_title(&page, word, "Several commands");
    page_usage(&page, usage);
    page_heading(&page, "Commands");
    for (unsigned id = 0; id < COMMAND_COUNT_; id++) {
        const struct command *command = command_get((enum command_id)id);
        if (!strncmp(command->words, word, len) && command->words[len] == ' ')
            page_item(&page, command->words, command_summary(command));
    }
    return cli_write(cli, &out, err);
}

int run_help(struct cli *cli, struct err *err) {
    char *words[4] = {NULL};
    char shown[SHOW_SIZE];
    size_t index = 0;
    int count = 0, used;
    const char *folder = args_get(&cli->args, "man");
    if (folder) return write_man_pages(cli, folder, err);
    if (args_on(&cli->args, "markdown")) return print_markdown(cli, err);
    for (const char *word; count < 4 && (word = args_next(&cli->args, "command", &index));)
        words[count++] = (char *)word;
    if (count == 0) return help_print_overview(cli, err);
    const struct cli_local *local = count == 1 ? local_find(cli, words[0]) : NULL;
    if (local) return help_print_local(cli, local, err);
    const struct command *command = command_find(count, words, &used);
    if (command && used == count) return help_print_command(cli, command, err);
    if (count == 1 && command_is_prefix(words[0])) return help_group(cli, words[0], err);
    struct suggestion near = SUGGESTION_INIT(words[0]);
    for (unsigned id = 0; id < COMMAND_COUNT_; id++)
        suggestion_try(&near, command_get((enum command_id)id)->words);
    show_text(words[0], shown);
    int r = near.best
                ? err_set(err, ERR_USAGE, "there is no command \"%s\"; did you mean `serin help %s`?", shown, near.best)
                : err_set(err, ERR_USAGE, "there is no such command: \"%s\"", shown);
    err_remedy(err, "serin help");
    return r;
}
