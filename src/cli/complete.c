/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion. The scripts for the shells are thin: they hand the words so far to `serin __complete`, which answers one
 * candidate a line, with its description behind a tab. So every shell knows what the table of commands says, and
 * the names of agents and environments come from the server, within a short time or not at all.
 */
#include "cli/cli_impl.h"
#include "config/config.h"

#include <string.h>

#define NAMES_TIMEOUT_MS 1500
#define FILES_LINE ":files" /* asks the shell for names of files */

struct completion {
    struct cli *cli;
    const char *current; /* the word to be completed */
    char *const *words;  /* those before it */
    int count;
    struct str out;
};

/* The part of a description that fits a line: up to its first sentence's end. */
static void offer(struct completion *completion, const char *word, const char *doc) {
    if (strncmp(word, completion->current, strlen(completion->current))) return;
    text_add_safe(&completion->out, word, strlen(word), false);
    size_t len = strcspn(doc, ";.");
    str_printf(&completion->out, "\t%.*s\n", (int)len, doc);
}

/* ---- names from the server ---- */

static int ask(struct cli *cli, const struct op *op, const char *path, struct answer *ret) {
    struct err err = ERR_INIT;
    struct args none = {.command = command_get(COMMAND_status)};
    struct call call = {.op = op, .path = path, .once = true};
    cli->timeout_ms = NAMES_TIMEOUT_MS;
    if (!path || profile_load(cli->world, &none, &cli->arena, &cli->profile, &err) < 0) return -1;
    return call_send(cli, &call, ret, &err);
}

/* Members of the items that are offered. */
struct offered {
    const char *list, *name, *doc;
};

static void offer_items(struct completion *completion, const struct op *op, const char *path,
                        const struct offered *offered) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    size_t index;
    json_t *item;
    if (ask(completion->cli, op, path, &answer) < 0) return;
    json_array_foreach(json_get(answer.json, offered->list), index, item) {
        const char *name = json_get_text(item, offered->name), *doc = json_get_text(item, offered->doc);
        if (name) offer(completion, name, doc ? doc : "");
    }
}

static void offer_names(struct completion *completion, const struct op *op, const char *path, const char *list) {
    offer_items(completion, op, path, &(struct offered){list, "name", "description"});
}

static void offer_agents(struct completion *completion) {
    offer_names(completion, op_get(OP_agent_list), "/v1/agents?limit=1000", "agents");
}

static void offer_environments(struct completion *completion) {
    offer_names(completion, op_get(OP_environment_list), "/v1/environments", "environments");
}

static void offer_versions(struct completion *completion, const char *agent, const char *start) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    _cleanup_(str_deinit) struct str path = STR_INIT;
    size_t index;
    json_t *item;
    char word[160];
    str_add_text(&path, "/v1/agents/");
    url_add(&path, agent);
    str_add_text(&path, "/versions?limit=30");
    snprintf(word, sizeof(word), "%slatest", start);
    offer(completion, word, "The newest version");
    if (path.failed || ask(completion->cli, op_get(OP_version_list), path.data, &answer) < 0) return;
    json_array_foreach(json_get(answer.json, "versions"), index, item) {
        const char *doc = json_get_text(item, "change_description");
        snprintf(word, sizeof(word), "%s%lld", start, (long long)json_integer_value(json_get(item, "version")));
        offer(completion, word, doc ? doc : "");
    }
}

/* The environment that the words so far name, else the configured one; NULL: neither. */
static const char *environment_of(struct completion *completion) {
    struct err err = ERR_INIT;
    struct args none = {.command = command_get(COMMAND_status)};
    for (int i = 0; i + 1 < completion->count; i++)
        if (!strcmp(completion->words[i], "-e") || !strcmp(completion->words[i], "--environment"))
            return completion->words[i + 1];
    int r = profile_load(completion->cli->world, &none, &completion->cli->arena, &completion->cli->profile, &err);
    return r < 0 ? NULL : completion->cli->profile.environment;
}

static void offer_flags(struct completion *completion) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    const char *environment = environment_of(completion);
    if (!environment) return;
    str_add_text(&path, "/v1/environments/");
    url_add(&path, environment);
    str_add_text(&path, "/flags?limit=1000");
    if (!path.failed)
        offer_items(completion, op_get(OP_flag_list), path.data, &(struct offered){"flags", "key", "summary"});
}

/* support, or behind the @ support@42 */
static void offer_specs(struct completion *completion) {
    char agent[64], start[80];
    size_t len = strcspn(completion->current, "@");
    if (!completion->current[len]) {
        offer_agents(completion);
        return;
    }
    snprintf(agent, sizeof(agent), "%.*s", (int)(len < 63 ? len : 63), completion->current);
    snprintf(start, sizeof(start), "%s@", agent);
    offer_versions(completion, agent, start);
}

/* ---- words of the table ---- */

static void offer_words(struct completion *completion, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        offer(completion, words[i], "");
}

static void offer_value(struct completion *completion, const struct arg *arg) {
    static const char *const shells[] = {"bash", "zsh", "fish"};
    static const char *const roles[] = {"resolve", "viewer", "editor", "releaser", "admin"};
    switch (arg->kind) {
    case ARG_AGENT:
        offer_agents(completion);
        break;
    case ARG_ENVIRONMENT:
    case ARG_OWN_ENVIRONMENT:
        offer_environments(completion);
        break;
    case ARG_FLAG:
        offer_flags(completion);
        break;
    case ARG_SPEC:
        offer_specs(completion);
        break;
    case ARG_ROLE:
        offer_words(completion, roles, ARRAY_LEN(roles));
        break;
    case ARG_SHELL:
        offer_words(completion, shells, ARRAY_LEN(shells));
        break;
    case ARG_SOURCE:
    case ARG_FILE:
        str_add_text(&completion->out, FILES_LINE "\n");
        break;
    default:
        break;
    }
}

/* The next word of every command that begins with the words so far. */
static void offer_commands(struct completion *completion, int count, char *const *words) {
    char start[128] = "", seen[64] = "";
    for (int i = 0; i < count; i++)
        snprintf(start + strlen(start), sizeof(start) - strlen(start), "%s ", words[i]);
    size_t len = strlen(start);
    for (unsigned id = 0; id < COMMAND_COUNT_; id++) {
        const struct command *command = command_get((enum command_id)id);
        if (strncmp(command->words, start, len)) continue;
        char word[64];
        snprintf(word, sizeof(word), "%.*s", (int)strcspn(command->words + len, " "), command->words + len);
        bool whole = !command->words[len + strlen(word)];
        if (strcmp(word, seen)) offer(completion, word, whole ? command_summary(command) : "");
        snprintf(seen, sizeof(seen), "%s", word);
    }
    for (size_t i = 0; count == 0 && i < completion->cli->local_count; i++) {
        const struct cli_local *local = &completion->cli->locals[i];
        if (local->summary) offer(completion, local->name, local->summary);
    }
}

/* The option that waits for its value at the end of the words, or NULL. */
static const struct arg *waiting_option(const struct arg *const *args, size_t count, int word_count,
                                        char *const *words) {
    const char *last = word_count ? words[word_count - 1] : "";
    for (size_t i = 0; i < count; i++) {
        const struct arg *arg = args[i];
        if (!arg->flag || arg->kind == ARG_SWITCH || arg->kind == ARG_WAIT) continue;
        bool letter = last[0] == '-' && last[1] == arg->letter && arg->letter && !last[2];
        if (letter || !strcmp(last, arg->flag)) return arg;
    }
    return NULL;
}

/* How many positional arguments stand among the words. */
static size_t count_positionals(const struct arg *const *args, size_t count, int word_count, char *const *words) {
    size_t positionals = 0;
    for (int i = 0; i < word_count; i++)
        positionals += words[i][0] != '-' && !waiting_option(args, count, i, words);
    return positionals;
}

static void offer_arguments(struct completion *completion, const struct command *command, int count,
                            char *const *words) {
    const struct arg *args[COMMAND_ARGS_MAX];
    size_t arg_count = command_args(command, args);
    const struct arg *waiting = waiting_option(args, arg_count, count, words);
    if (waiting) {
        offer_value(completion, waiting);
        return;
    }
    if (completion->current[0] == '-') {
        for (size_t i = 0; i < arg_count; i++)
            if (args[i]->flag) offer(completion, args[i]->flag, arg_doc(command, args[i]));
        return;
    }
    size_t position = count_positionals(args, arg_count, count, words);
    for (size_t i = 0; i < arg_count && !args[i]->flag; i++) {
        bool repeats = args[i]->count == ARG_ANY || args[i]->count == ARG_MANY;
        if (position != i && !(repeats && position > i)) continue;
        offer_value(completion, args[i]);
        return;
    }
}

/* ---- commands that the server brings along ---- */

static void offer_settings(struct completion *completion) {
    char flag[SETTING_NAME_SIZE];
    offer(completion, "--settings", "Reads settings from a file");
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        const struct setting *setting = setting_get((enum setting_id)id);
        setting_flag(setting, flag);
        offer(completion, flag, setting->doc);
    }
}

static void offer_local_arguments(struct completion *completion, const struct cli_local *local, const char *last) {
    static const struct cli_options none = {0};
    const struct cli_options *options = local->options ? local->options : &none;
    bool files = local->settings && !strcmp(last, "--settings");
    if (completion->current[0] == '-') {
        for (size_t i = 0; i < options->count; i++)
            if (options->items[i].flag) offer(completion, options->items[i].flag, options->items[i].doc);
        if (local->settings) offer_settings(completion);
        return;
    }
    for (size_t i = 0; i < options->count; i++)
        files |= options->items[i].is_file && !options->items[i].flag && last[0] != '-';
    if (files) str_add_text(&completion->out, FILES_LINE "\n");
}

int complete(struct cli *cli, int count, char *const *words) {
    struct err err = ERR_INIT;
    int used = 0;
    if (count == 0) return 0;
    count--;
    struct completion completion = {.cli = cli, .current = words[count], .words = words, .count = count};
    const struct cli_local *local = count ? local_find(cli, words[0]) : NULL;
    if (local) offer_local_arguments(&completion, local, words[count - 1]);
    const struct command *command = local ? NULL : command_find(count, words, &used);
    if (!local && (!command || used == count) && completion.current[0] != '-')
        offer_commands(&completion, count, words);
    if (command) offer_arguments(&completion, command, count - used, words + used);
    int r = cli_write(cli, &completion.out, &err);
    str_deinit(&completion.out);
    return r < 0;
}

/* ---- the scripts ---- */

/* Bash breaks words at @, = and : too, and replaces only what stands behind the last of them. */
static const char bash_script[] =
    "# bash completion for serin\n"
    "_serin() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} candidate files=\n"
    "    local -a words\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    local current=${words[-1]}\n"
    "    local cut=${current%\"${current##*[@:=]}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r candidate _; do\n"
    "        if [[ $candidate == " FILES_LINE " ]]; then\n"
    "            files=1\n"
    "        else\n"
    "            COMPREPLY+=(\"${candidate#\"$cut\"}\")\n"
    "        fi\n"
    "    done < <(\"${words[0]}\" __complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    if [[ -n $files ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        while IFS= read -r candidate; do COMPREPLY+=(\"$candidate\"); done < <(compgen -f -- \"$current\")\n"
    "    fi\n"
    "}\n"
    "complete -F _serin serin\n";

static const char zsh_script[] =
    "#compdef serin\n"
    "_serin() {\n"
    "    local line files=\n"
    "    local -a candidates\n"
    "    for line in \"${(@f)$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "        if [[ $line == " FILES_LINE " ]]; then\n"
    "            files=1\n"
    "        elif [[ -n $line ]]; then\n"
    "            candidates+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
    "        fi\n"
    "    done\n"
    "    (( ${#candidates} )) && _describe 'serin' candidates\n"
    "    [[ -n $files ]] && _files\n"
    "}\n"
    "if [[ ${funcstack[1]} == _serin ]]; then _serin \"$@\"; else compdef _serin serin; fi\n";

static const char fish_script[] = "# fish completion for serin\n"
                                  "function __serin_complete\n"
                                  "    set -l words (commandline -opc) (commandline -ct)\n"
                                  "    for line in ($words[1] __complete $words[2..-1] 2>/dev/null)\n"
                                  "        if test \"$line\" = '" FILES_LINE "'\n"
                                  "            __fish_complete_path (commandline -ct)\n"
                                  "        else\n"
                                  "            echo $line\n"
                                  "        end\n"
                                  "    end\n"
                                  "end\n"
                                  "complete -c serin -f -a '(__serin_complete)'\n";

int run_completion(struct cli *cli, struct err *err) {
    const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    const char *shell = args_get(&cli->args, "shell");
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        _cleanup_(str_deinit) struct str out = STR_INIT;
        if (strcmp(scripts[i].shell, shell)) continue;
        str_add_text(&out, scripts[i].script);
        return cli_write(cli, &out, err);
    }
    int r = err_set(err, ERR_USAGE, "there are completion scripts for bash, zsh and fish");
    err_at(err, "SHELL");
    err_remedy(err, "serin completion bash");
    return r;
}
