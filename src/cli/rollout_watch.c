/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin rollout status`: how a rollout stands, once or until it ends (--watch). A terminal gets a screen of its own that is drawn again each second, and gives it
 * back however the program ends; a pipe gets a line whenever something has changed, with --json the answer itself. A server that is away for a moment is asked again.
 */
#include "cli/cli_impl.h"
#include "model/rollout.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 1000
#define SCREEN_TAKE "\x1b[?1049h\x1b[?25l"
#define SCREEN_GIVE_BACK "\x1b[?25h\x1b[?1049l"
#define SCREEN_HOME "\x1b[H"
#define SCREEN_REST "\x1b[J"

struct watching {
    struct cli *cli;
    struct call call;
    struct answer answer; /* the newest that came */
    bool away, ended, screen;
    struct str shown; /* the line or answer that was printed last */
};

static bool is_over(const json_t *status) {
    enum rollout_state state;
    const char *text = json_get_text(json_get(status, "rollout"), "state");
    return text && rollout_state_from_text(text, &state) && !rollout_is_open(state);
}

static bool passes_away(int r) {
    return r == -ERR_CONNECT || r == -ERR_UNAVAILABLE || r == -ERR_TIMEOUT || r == -ERR_TOO_MANY_REQUESTS ||
           r == -ERR_STORE_UNAVAILABLE;
}

static int look(struct watching *watching, struct err *err) {
    struct answer answer = {0};
    struct err why = ERR_INIT;
    bool first = !watching->answer.json;
    int r = first ? call_send(watching->cli, &watching->call, &answer, &why)
                  : call_again(watching->cli, &watching->call, &answer, &why);
    watching->away = r < 0;
    if (r == 0) {
        answer_deinit(&watching->answer);
        watching->answer = answer;
        watching->ended = is_over(answer.json);
        return 0;
    }
    answer_deinit(&answer);
    if (!first && passes_away(r)) return 0;
    *err = why;
    return r;
}

/* The screen is given back however it ends; write() may be called in a handler. */
static void give_back_and_end(int number) {
    ssize_t written = write(STDOUT_FILENO, SCREEN_GIVE_BACK, sizeof(SCREEN_GIVE_BACK) - 1);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

static int take_screen(struct watching *watching, struct err *err) {
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct sigaction action = {.sa_handler = give_back_and_end, .sa_flags = SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        sigaction(ends[i], &action, NULL);
    watching->screen = true;
    str_add_text(&out, SCREEN_TAKE);
    return cli_write(watching->cli, &out, err);
}

static int give_back_screen(struct watching *watching, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    watching->screen = false;
    str_add_text(&out, SCREEN_GIVE_BACK);
    return cli_write(watching->cli, &out, err);
}

/* Over what is there, line by line, so that nothing flickers. */
static int draw_screen(struct watching *watching, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    _cleanup_(str_deinit) struct str out = STR_INIT;
    int r = rollout_draw(watching->cli, watching->answer.json, true, &text, err);
    if (r < 0) return r;
    str_add_text(&text, watching->away ? "\nThe server does not answer; trying again. Ctrl-C ends this.\n"
                                       : "\nCtrl-C ends this.\n");
    str_add_text(&out, SCREEN_HOME);
    for (size_t i = 0; i < text.len && !text.failed; i++) {
        if (text.data[i] == '\n') str_add_text(&out, "\x1b[K");
        str_add_char(&out, text.data[i]);
    }
    str_add_text(&out, SCREEN_REST);
    return text.failed ? err_no_memory(err) : cli_write(watching->cli, &out, err);
}

static int print_line(struct watching *watching, struct err *err) {
    _cleanup_(str_deinit) struct str line = STR_INIT;
    _cleanup_(str_deinit) struct str out = STR_INIT;
    char when[WHEN_SIZE];
    if (watching->away) return 0;
    rollout_line(watching->answer.json, &line);
    if (line.failed) return err_no_memory(err);
    if (slice_equal(str_slice(&line), str_slice(&watching->shown))) return 0;
    str_clear(&watching->shown);
    str_add_slice(&watching->shown, str_slice(&line));
    when_date(clock_wall(watching->cli->world->clock), when);
    str_printf(&out, "%s  ", when);
    str_add_slice(&out, str_slice(&line));
    str_add_char(&out, '\n');
    return cli_write(watching->cli, &out, err);
}

static int show(struct watching *watching, struct err *err) {
    if (watching->cli->json)
        return watching->away ? 0 : view_print_raw(watching->cli, str_slice(&watching->answer.body), err);
    return watching->screen ? draw_screen(watching, err) : print_line(watching, err);
}

static int watch_until_it_ends(struct watching *watching, struct err *err) {
    const struct cli_transport *transport = watching->cli->world->transport;
    int r = look(watching, err);
    if (r == 0 && watching->cli->world->out_is_terminal && !watching->cli->json && !watching->ended)
        r = take_screen(watching, err);
    while (r == 0) {
        r = show(watching, err);
        if (r < 0 || watching->ended) break;
        transport->pause(transport->ctx, LOOK_MS);
        r = look(watching, err);
    }
    return r;
}

static int print_once(struct watching *watching, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct cli *cli = watching->cli;
    if (cli->json) return view_print_raw(cli, str_slice(&watching->answer.body), err);
    int r = rollout_draw(cli, watching->answer.json, false, &out, err);
    return r < 0 ? r : cli_write(cli, &out, err);
}

int run_rollout_status(struct cli *cli, struct err *err) {
    struct watching watching = {.cli = cli};
    struct err late = ERR_INIT;
    bool watch = args_on(&cli->args, "watch");
    int r = call_build(cli, op_get(OP_rollout_status), &watching.call, err);
    if (r == 0) r = watch ? watch_until_it_ends(&watching, err) : look(&watching, err);
    bool had_screen = watching.screen;
    if (had_screen && give_back_screen(&watching, &late) < 0 && r == 0) r = -(int)late.code;
    if (r == 0 && (!watch || had_screen)) r = print_once(&watching, err);
    answer_deinit(&watching.answer);
    str_deinit(&watching.shown);
    return r;
}
