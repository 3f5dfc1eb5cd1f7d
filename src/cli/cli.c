/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From argv to an exit code. The command's words come first, with options for every command before or behind them;
 * everything else is told by the table. A command prints its own result; whatever went wrong is printed here, in one form:
 * what is wrong, where, and what to try.
 */
#include "base/suggest.h"
#include "cli/cli_impl.h"
#include "model/show.h"

#include <pwd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_S 30
#define TIMEOUT_MAX_S 86400

extern char **environ;

/* ---- output ---- */

int cli_write(struct cli *cli, const struct str *text, struct err *err) {
    if (text->failed) return err_no_memory(err);
    if (text->len) fwrite(text->data, 1, text->len, cli->world->out);
    if (fflush(cli->world->out) == 0 && !ferror(cli->world->out)) return 0;
    return err_set(err, ERR_FILE, "the output cannot be written");
}

void cli_print_line(const struct cli *cli, const char *text) {
    _cleanup_(str_deinit) struct str line = STR_INIT;
    text_add_safe(&line, text, strlen(text), false);
    str_add_char(&line, '\n');
    if (!line.failed) fwrite(line.data, 1, line.len, cli->world->err);
}

static void print_labelled(const struct cli *cli, enum colour colour, const char *label, const char *text) {
    _cleanup_(str_deinit) struct str line = STR_INIT;
    colour_add(&line, cli->err_colour, colour, label);
    str_add_char(&line, ' ');
    text_add_safe(&line, text, strlen(text), false);
    str_add_char(&line, '\n');
    if (!line.failed) fwrite(line.data, 1, line.len, cli->world->err);
}

static void print_err(const struct cli *cli, const struct err *err) {
    char place[sizeof(err->at) + 32];
    snprintf(place, sizeof(place), "%s", err->at);
    if (err->line) snprintf(place + strlen(place), 16, "%s%u", *place ? ":" : "line ", err->line);
    if (err->line && err->column) snprintf(place + strlen(place), 16, ":%u", err->column);
    print_labelled(cli, COLOUR_RED, "serin:", err->message);
    if (*place) print_labelled(cli, COLOUR_DIM, "  at:", place);
    if (*err_remedy_text(err)) print_labelled(cli, COLOUR_DIM, "  try:", err_remedy_text(err));
}

void cli_note(const struct cli *cli, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    print_labelled(cli, COLOUR_DIM, "serin:", text);
}

/* ---- finding the command ---- */

const struct cli_local *local_find(const struct cli *cli, const char *name) {
    for (size_t i = 0; i < cli->local_count; i++)
        if (!strcmp(cli->locals[i].name, name)) return &cli->locals[i];
    return NULL;
}

/* Index of the first word that is no option for every command, nor such an option's value. */
static int first_word(int argc, char *const *argv) {
    const struct arg *args[COMMAND_ARGS_MAX];
    size_t count = command_args(command_get(COMMAND_version), args);
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        for (size_t j = 0; j < count; j++)
            if (args[j]->flag && !strcmp(args[j]->flag, argv[i]) && args[j]->kind != ARG_SWITCH) {
                i++;
                break;
            }
    }
    return argc;
}

static int unknown_command(const struct cli *cli, int argc, char *const *argv, struct err *err) {
    char shown[SHOW_SIZE], typed[64];
    struct suggestion near = SUGGESTION_INIT(typed);
    bool group = command_is_prefix(argv[0]);
    snprintf(typed, sizeof(typed), "%.30s%s%.30s", argv[0], group && argc > 1 ? " " : "",
             group && argc > 1 ? argv[1] : "");
    for (unsigned id = 0; id < COMMAND_COUNT_; id++)
        suggestion_try(&near, command_get((enum command_id)id)->words);
    for (size_t i = 0; i < cli->local_count; i++)
        if (cli->locals[i].summary) suggestion_try(&near, cli->locals[i].name);
    show_text(typed, shown);
    if (group && argc == 1)
        err_set(err, ERR_USAGE, "`serin %s` needs one more word", shown);
    else if (near.best)
        err_set(err, ERR_USAGE, "unknown command \"%s\"; did you mean `serin %s`?", shown, near.best);
    else
        err_set(err, ERR_USAGE, "unknown command \"%s\"", shown);
    err_remedy(err, group ? "serin help %s" : "serin help", argv[0]);
    return -ERR_USAGE;
}

/* ---- running it ---- */

static bool wants_colour(const struct cli *cli, bool terminal) {
    const char *term = world_variable(cli->world, "TERM");
    bool dumb = term && !strcmp(term, "dumb");
    return terminal && !dumb && !world_variable(cli->world, "NO_COLOR") && !args_on(&cli->args, "no_color");
}

static int read_globals(struct cli *cli, struct err *err) {
    const char *timeout = args_get(&cli->args, "timeout");
    int64_t seconds = TIMEOUT_DEFAULT_S;
    cli->json = args_on(&cli->args, "json");
    cli->colour = wants_colour(cli, cli->world->out_is_terminal);
    cli->err_colour = wants_colour(cli, cli->world->err_is_terminal);
    if (timeout && !text_to_int(timeout, 1, TIMEOUT_MAX_S, &seconds)) {
        int r = err_set(err, ERR_USAGE, "--timeout must be 1 to %d seconds", TIMEOUT_MAX_S);
        err_at(err, "--timeout");
        return r;
    }
    cli->timeout_ms = seconds * 1000;
    return 0;
}

/* Moments are written in the user's time zone and sent in UTC. */
static int read_moments(struct cli *cli, struct err *err) {
    for (size_t i = 0; i < cli->args.count; i++) {
        struct arg_value *value = &cli->args.values[i];
        char *moment = value->arg->kind == ARG_MOMENT ? arena_alloc(&cli->arena, WHEN_SIZE) : NULL;
        if (value->arg->kind != ARG_MOMENT) continue;
        if (!moment) return err_no_memory(err);
        int r = when_read(value->value, clock_wall(cli->world->clock), moment, err);
        if (r < 0) return r;
        value->value = moment;
    }
    return 0;
}

static int run_command(struct cli *cli, const struct command *command, int argc, char *const *argv, struct err *err) {
    int r = args_parse(command, argc, argv, &cli->arena, &cli->args, err);
    if (r == 0) r = read_globals(cli, err);
    if (r < 0) return r;
    if (args_on(&cli->args, "help")) return help_print_command(cli, command, err);
    r = read_moments(cli, err);
    if (r == 0 && command_op(command)) r = profile_load(cli->world, &cli->args, &cli->arena, &cli->profile, err);
    return r < 0 ? r : command->run(cli, err);
}

static bool asks_help(int argc, char *const *argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

static int run_local(struct cli *cli, const struct cli_local *local, int argc, char *const *argv, struct err *err) {
    return asks_help(argc, argv) ? help_print_local(cli, local, err) : local->run(argc, (char **)argv);
}

/* Without a command there may be --version, --help, or options that say nothing alone. */
static int run_without_command(struct cli *cli, int argc, char *const *argv, struct err *err) {
    if (argc > 1 && !strcmp(argv[1], "--version")) return run_version(cli, err);
    int r = args_parse(command_get(COMMAND_help), argc - 1, argv + 1, &cli->arena, &cli->args, err);
    if (r == 0) r = read_globals(cli, err);
    return r < 0 ? r : help_print_overview(cli, err);
}

static int dispatch(struct cli *cli, int argc, char *const *argv, struct err *err) {
    int first = first_word(argc, argv), words;
    if (first == argc) return run_without_command(cli, argc, argv, err);
    if (!strcmp(argv[first], "__complete")) return complete(cli, argc - first - 1, argv + first + 1);
    const struct cli_local *local = local_find(cli, argv[first]);
    if (local) return run_local(cli, local, argc - first - 1, argv + first + 1, err);
    const struct command *command = command_find(argc - first, argv + first, &words);
    if (!command) return unknown_command(cli, argc - first, argv + first, err);

    char **rest = arena_array(&cli->arena, (size_t)argc, sizeof(*rest));
    if (!rest) return err_no_memory(err);
    int count = 0;
    for (int i = 1; i < argc; i++)
        if (i < first || i >= first + words) rest[count++] = argv[i];
    return run_command(cli, command, count, rest, err);
}

int cli_run(const struct cli_world *world, int argc, char *const *argv, const struct cli_local *locals,
            size_t local_count) {
    struct cli cli = {.world = world, .locals = locals, .local_count = local_count};
    struct err err = ERR_INIT;
    cli.colour = wants_colour(&cli, world->out_is_terminal);
    cli.err_colour = wants_colour(&cli, world->err_is_terminal);
    int r = dispatch(&cli, argc, argv, &err);
    if (r < 0) print_err(&cli, &err);
    arena_deinit(&cli.arena);
    return r >= 0 ? r : r == -ERR_USAGE ? 2 : 1;
}

static unsigned terminal_width(void) {
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void who_am_i(char *ret, size_t size) {
    char host[128] = "";
    const struct passwd *user = getpwuid(getuid());
    if (gethostname(host, sizeof(host) - 1) < 0) host[0] = '\0';
    snprintf(ret, size, "%.64s@%s", user ? user->pw_name : "somebody", *host ? host : "somewhere");
    if (!utf8_valid(ret, strlen(ret))) snprintf(ret, size, "somebody@somewhere");
}

void cli_report(const struct err *err) {
    const struct cli_world world = {.err = stderr, .err_is_terminal = isatty(STDERR_FILENO), .environment = environ};
    struct cli cli = {.world = &world};
    cli.err_colour = wants_colour(&cli, world.err_is_terminal);
    print_err(&cli, err);
}

int cli_main(int argc, char **argv, const struct cli_local *locals, size_t local_count) {
    char who[256];
    struct cli_transport *transport = NULL;
    struct err err = ERR_INIT;
    who_am_i(who, sizeof(who));
    int r = transport_new(&transport, &err);
    if (r < 0) {
        cli_report(&err);
        return 1;
    }
    struct cli_world world = {
        .out = stdout,
        .err = stderr,
        .out_is_terminal = isatty(STDOUT_FILENO),
        .err_is_terminal = isatty(STDERR_FILENO),
        .width = terminal_width(),
        .environment = environ,
        .who = who,
        .clock = &clock_system,
        .transport = transport,
    };
    r = cli_run(&world, argc, argv, locals, local_count);
    transport_free(transport);
    return r;
}
