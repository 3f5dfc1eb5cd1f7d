/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin demo traffic`: a simulation. Made-up users come to a server at random, each gets a decision as a real program would ask for it, and what came of it is thrown
 * with dice by the world of demo_world.def, or by options, and reported as a real program would report it. So everything behind the two questions is the real thing: the
 * split, the evidence, the controller.
 *
 * Light by design: one connection, so many decisions a second as were wished and no more, one batch of outcomes a second. It ends when the server is gone.
 */
#include "base/jw.h"
#include "base/uuid.h"
#include "cli/cli_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define AGENTS_MAX 16
#define USERS 100000
#define TICK_MS 50
#define AWAY_MS 500 /* while the server does not answer */
#define BATCH_EACH SECOND
#define REPORT_EACH (10 * SECOND)
#define GONE_AFTER (15 * SECOND)
#define PER_SECOND_DEFAULT 60
#define PER_SECOND_MAX 500
#define WAITING_MAX ((size_t)1 << 20) /* bytes of outcomes that wait; what comes then is not reported */
#define FEEDBACK_SHARE 0.05
#define QUALITY_SPREAD 0.08

struct behaviour {
    const char *agent;
    int64_t version;
    double error, latency_ms, spread, quality, cost_usd;
    int64_t input_tokens, output_tokens;
    const char *failure;
};
static const struct behaviour world[] = {
#define BEHAVES(...) {__VA_ARGS__},
#include "cli/demo_world.def"
};

struct trial {
    const char *agent;
    int64_t version;
    const char *reason, *steps, *analysis;
};
static const struct trial trials[] = {
#define TRIES(...) {__VA_ARGS__},
#include "cli/demo_world.def"
};

/* What was seen of an agent's version. */
struct seen_version {
    int64_t version, runs, failed;
};
#define VERSIONS_MAX 8
struct player {
    const char *agent, *path; /* of the question, up to the user's key */
    struct seen_version versions[VERSIONS_MAX];
};

struct playing {
    struct cli *cli;
    const char *environment;
    struct player players[AGENTS_MAX];
    size_t count;
    int64_t per_second; /* of each agent */
    unsigned pause_ms;
    bool began; /* to play: the server was there */
    unsigned short dice[3];
    char instance[UUID_TEXT_SIZE];
    struct str waiting, sending; /* items; those of the batch that goes out */
    int64_t batch, decisions, reported;
    int64_t begun, until, batch_at, report_at, heard_at; /* monotonic; until 0 = for ever */
};

/* ---- dice ---- */

static double throw_even(struct playing *playing) {
    return erand48(playing->dice);
}

static double throw_normal(struct playing *playing) {
    double radius = sqrt(-2 * log(1 - throw_even(playing)));
    return radius * cos(2 * M_PI * throw_even(playing));
}

/* ---- how versions do ---- */

static const struct behaviour *behaviour_of(const char *agent, int64_t version) {
    const struct behaviour *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(world); i++)
        if (!strcmp(world[i].agent, agent) && world[i].version <= version) found = &world[i];
    return found ? found : &world[0];
}

/* The value behind `agent@version=` or `agent=` among the option's, the last one that fits. */
static bool said(const struct playing *playing, const char *param, const char *agent, int64_t version, double *ret) {
    size_t index = 0;
    bool found = false;
    for (const char *pair; (pair = args_next(&playing->cli->args, param, &index));) {
        size_t len = strcspn(pair, "@=");
        int64_t of = version;
        if (strlen(agent) != len || memcmp(pair, agent, len) != 0) continue;
        if (pair[len] == '@') of = strtoll(pair + len + 1, NULL, 10);
        if (of != version) continue;
        *ret = strtod(strrchr(pair, '=') + 1, NULL);
        found = true;
    }
    return found;
}

static struct behaviour behaviour_now(const struct playing *playing, const char *agent, int64_t version) {
    struct behaviour behaviour = *behaviour_of(agent, version);
    (void)said(playing, "error", agent, version, &behaviour.error);
    (void)said(playing, "latency_ms", agent, version, &behaviour.latency_ms);
    (void)said(playing, "quality", agent, version, &behaviour.quality);
    return behaviour;
}

static int check_pairs(const struct playing *playing, const char *param, const char *flag, double most,
                       struct err *err) {
    size_t index = 0;
    for (const char *pair; (pair = args_next(&playing->cli->args, param, &index));) {
        char *end;
        double value = strtod(strrchr(pair, '=') + 1, &end);
        if (end != strrchr(pair, '=') + 1 && !*end && value >= 0 && value <= most) continue;
        int r = err_set(err, ERR_USAGE, "%s takes AGENT=N or AGENT@VERSION=N, N from 0 to %g", flag, most);
        err_at(err, "%s", flag);
        return r;
    }
    return 0;
}

/* ---- a run ---- */

static void count_run(struct player *player, int64_t version, bool ok) {
    for (size_t i = 0; i < VERSIONS_MAX; i++) {
        struct seen_version *seen = &player->versions[i];
        if (seen->version && seen->version != version) continue;
        seen->version = version;
        seen->runs++;
        seen->failed += !ok;
        return;
    }
}

static void add_measures(struct playing *playing, const struct behaviour *behaviour, bool ok, struct jw *jw) {
    double quality = behaviour->quality + QUALITY_SPREAD * throw_normal(playing);
    jw_double(jw, "latency_ms", round(behaviour->latency_ms * exp(behaviour->spread * throw_normal(playing))));
    jw_int(jw, "input_tokens", behaviour->input_tokens);
    jw_int(jw, "output_tokens", behaviour->output_tokens);
    jw_double(jw, "cost_usd", behaviour->cost_usd);
    if (!ok) return;
    jw_object(jw, "scores");
    jw_double(jw, "quality", fmin(fmax(quality, 0), 1));
    jw_end_object(jw);
    if (throw_even(playing) < FEEDBACK_SHARE)
        jw_text(jw, "feedback", throw_even(playing) < behaviour->quality ? "up" : "down");
}

/* What came of a decision, as a program reports it. */
static void add_outcome(struct playing *playing, struct player *player, const json_t *decision) {
    static const char *const passed_on[] = {"rollout", "arm", "reason", "unit"};
    int64_t version = json_integer_value(json_get(decision, "version"));
    struct behaviour behaviour = behaviour_now(playing, player->agent, version);
    bool ok = throw_even(playing) >= behaviour.error;
    char at[CLOCK_TEXT_SIZE];
    struct jw jw = JW_INIT(&playing->waiting);
    if (!version || playing->waiting.len > WAITING_MAX) return;
    if (playing->waiting.len) str_add_char(&playing->waiting, ',');
    clock_text(clock_wall(playing->cli->world->clock), at);
    jw_object(&jw, NULL);
    jw_text(&jw, "agent", player->agent);
    jw_text(&jw, "environment", playing->environment);
    jw_int(&jw, "version", version);
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
        if (json_get_text(decision, passed_on[i])) jw_text(&jw, passed_on[i], json_get_text(decision, passed_on[i]));
    jw_text(&jw, "at", at);
    jw_bool(&jw, "ok", ok);
    if (!ok) jw_text(&jw, "error_type", behaviour.failure);
    add_measures(playing, &behaviour, ok, &jw);
    jw_end_object(&jw);
    count_run(player, version, ok);
}

static bool is_away(int r) {
    return r == -ERR_CONNECT || r == -ERR_UNAVAILABLE || r == -ERR_TIMEOUT || r == -ERR_TOO_MANY_REQUESTS ||
           r == -ERR_STORE_UNAVAILABLE || r == -ERR_OUTCOMES_BUSY;
}

/* Whether one may go on trying. */
static bool passes(const struct playing *playing, int r) {
    return is_away(r) && clock_monotonic(playing->cli->world->clock) - playing->heard_at < GONE_AFTER;
}

static int run_once(struct playing *playing, struct player *player, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    char path[512];
    long user = (long)(throw_even(playing) * USERS);
    snprintf(path, sizeof(path), "%suser-%ld", player->path, user);
    int r = call_again(playing->cli, &(struct call){.op = op_get(OP_resolve_get), .path = path}, &answer, err);
    if (r < 0) return passes(playing, r) ? 1 : r;
    playing->heard_at = clock_monotonic(playing->cli->world->clock);
    playing->decisions++;
    add_outcome(playing, player, answer.json);
    return playing->waiting.failed ? err_no_memory(err) : 0;
}

/* ---- reporting ---- */

/* The same batch until it is answered: it counts once. */
static int send_batch(struct playing *playing, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    if (!playing->sending.len) {
        if (!playing->waiting.len) return 0;
        str_printf(&playing->sending, "{\"instance\":\"%s\",\"batch\":%lld,\"items\":[", playing->instance,
                   (long long)++playing->batch);
        str_add_slice(&playing->sending, str_slice(&playing->waiting));
        str_add_text(&playing->sending, "]}");
        str_clear(&playing->waiting);
    }
    if (playing->sending.failed) return err_no_memory(err);
    struct call call = {.op = op_get(OP_outcomes), .path = "/v1/outcomes", .body = playing->sending.data};
    int r = call_again(playing->cli, &call, &answer, err);
    if (r < 0) return passes(playing, r) ? 0 : r;
    playing->reported += json_integer_value(json_get(answer.json, "accepted"));
    str_clear(&playing->sending);
    return 0;
}

static int tell(const struct playing *playing, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    char when[WHEN_SIZE];
    when_date(clock_wall(playing->cli->world->clock), when);
    str_printf(&out, "%s  simulated %lld runs, reported %lld\n", when, (long long)playing->decisions,
               (long long)playing->reported);
    for (size_t i = 0; i < playing->count; i++) {
        const struct player *player = &playing->players[i];
        str_printf(&out, "  %s:", player->agent);
        for (size_t v = 0; v < VERSIONS_MAX && player->versions[v].version; v++) {
            const struct seen_version *seen = &player->versions[v];
            str_printf(&out, "%s @%lld %lld (%.1f %% failed)", v ? "," : "", (long long)seen->version,
                       (long long)seen->runs, 100.0 * (double)seen->failed / (double)seen->runs);
        }
        str_add_char(&out, '\n');
    }
    return cli_write(playing->cli, &out, err);
}

/* ---- the loop ---- */

static int64_t due(const struct playing *playing, int64_t now) {
    int64_t each = playing->per_second * (int64_t)playing->count;
    int64_t wanted = (now - playing->begun) * each / SECOND - playing->decisions;
    return wanted < each ? wanted : each; /* what was missed is not made up for */
}

static int play_what_is_due(struct playing *playing, int64_t now, struct err *err) {
    int r = 0;
    for (int64_t i = due(playing, now); i > 0 && r == 0; i--)
        r = run_once(playing, &playing->players[(size_t)(throw_even(playing) * (double)playing->count)], err);
    playing->pause_ms = r > 0 ? AWAY_MS : TICK_MS;
    return r < 0 ? r : 0;
}

static int play_a_tick(struct playing *playing, struct err *err) {
    int64_t now = clock_monotonic(playing->cli->world->clock);
    int r = play_what_is_due(playing, now, err);
    if (r == 0 && now >= playing->batch_at) {
        playing->batch_at = now + BATCH_EACH;
        r = send_batch(playing, err);
    }
    if (r == 0 && now >= playing->report_at) {
        playing->report_at = now + REPORT_EACH;
        r = tell(playing, err);
    }
    return r;
}

static int play(struct playing *playing, struct err *err) {
    const struct cli_world *around = playing->cli->world;
    int r = 0;
    playing->began = true;
    playing->begun = playing->heard_at = clock_monotonic(around->clock);
    playing->report_at = playing->begun + REPORT_EACH;
    while (r == 0 && (!playing->until || clock_monotonic(around->clock) < playing->begun + playing->until)) {
        r = play_a_tick(playing, err);
        if (r == 0) around->transport->pause(around->transport->ctx, playing->pause_ms);
    }
    if (r == 0) r = send_batch(playing, err);
    return r == 0 ? tell(playing, err) : r;
}

/* ---- who plays ---- */

/* Tries an agent; one that nobody serves there is left out, unless it was named. */
static int add_player(struct playing *playing, const char *agent, bool named, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    _cleanup_(str_deinit) struct str path = STR_INIT;
    str_add_text(&path, "/v1/resolve/");
    url_add(&path, agent);
    str_add_text(&path, "?environment=");
    url_add(&path, playing->environment);
    str_add_text(&path, "&key=");
    const char *kept = path.failed ? NULL : arena_strdup(&playing->cli->arena, path.data);
    if (!kept) return err_no_memory(err);
    if (playing->count == AGENTS_MAX) return err_set(err, ERR_USAGE, "at most %d agents play at once", AGENTS_MAX);
    struct call call = {.op = op_get(OP_resolve_get), .path = kept};
    int r = call_send(playing->cli, &call, &answer, err);
    bool absent = r == -ERR_AGENT_NOT_FOUND || r == -ERR_NOT_DEPLOYED || r == -ERR_ENVIRONMENT_NOT_FOUND;
    if (r < 0) return absent && !named ? 0 : r;
    playing->players[playing->count++] = (struct player){.agent = agent, .path = kept};
    return 0;
}

static int find_players(struct playing *playing, struct err *err) {
    size_t index = 0;
    int r = 0;
    const char *agent;
    while (r == 0 && (agent = args_next(&playing->cli->args, "agent", &index)))
        r = add_player(playing, agent, true, err);
    if (r < 0 || playing->count) return r;
    for (size_t i = 1; i < ARRAY_LEN(world) && r == 0; i++)
        if (strcmp(world[i].agent, world[i - 1].agent) != 0) r = add_player(playing, world[i].agent, false, err);
    if (r < 0 || playing->count) return r;
    r = err_set(err, ERR_NOT_DEPLOYED, "%s serves none of the example agents", playing->environment);
    err_remedy(err, "`serin demo seed examples/agents` plays them in; or name agents of yours with --agent");
    return r;
}

/* ---- rollouts to look at ---- */

static int has_rollouts(struct playing *playing, const char *agent, bool *ret, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    char path[256];
    snprintf(path, sizeof(path), "/v1/agents/%s/rollouts?environment=%s&limit=1", agent, playing->environment);
    int r = call_send(playing->cli, &(struct call){.op = op_get(OP_rollout_list), .path = path}, &answer, err);
    *ret = json_array_size(json_get(answer.json, "rollouts")) > 0;
    return r;
}

static int start_rollout(struct playing *playing, const struct trial *trial, struct err *err) {
    struct line line = {0};
    const char *spec = arena_printf(&playing->cli->arena, "%s@%lld", trial->agent, (long long)trial->version);
    if (!spec) return err_no_memory(err);
    line_add(&line, "serin");
    line_add(&line, "rollout");
    line_add(&line, "start");
    line_add(&line, spec);
    line_option(&line, "--environment", playing->environment);
    line_option(&line, "--steps", trial->steps);
    line_option(&line, "--analysis", trial->analysis);
    line_option(&line, "--message", trial->reason);
    return line_run(playing->cli, &line);
}

/* Of agents that never had one: what came of those before is not ours to try again. */
static int start_rollouts(struct playing *playing, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(trials); i++) {
        bool plays = false, had = false;
        for (size_t p = 0; p < playing->count; p++)
            plays |= !strcmp(playing->players[p].agent, trials[i].agent);
        int r = plays ? has_rollouts(playing, trials[i].agent, &had, err) : 0;
        if (r == 0 && plays && !had) r = start_rollout(playing, &trials[i], err);
        if (r != 0) return r;
    }
    return 0;
}

/* ---- the command ---- */

static int take_number(struct playing *playing, const char *param, const char *flag, int64_t most, int64_t *value,
                       struct err *err) {
    const char *text = args_get(&playing->cli->args, param);
    if (!text || text_to_int(text, 1, most, value)) return 0;
    int r = err_set(err, ERR_USAGE, "%s takes 1 to %lld", flag, (long long)most);
    err_at(err, "%s", flag);
    return r;
}

static int prepare(struct playing *playing, struct err *err) {
    struct cli *cli = playing->cli;
    int64_t seconds = 0, seed = clock_wall(cli->world->clock);
    playing->environment = args_get(&cli->args, "environment");
    if (!playing->environment) playing->environment = cli->profile.environment;
    if (!playing->environment) return err_set(err, ERR_USAGE, "say where: -e ENV");
    playing->per_second = PER_SECOND_DEFAULT;
    int r = take_number(playing, "per_second", "--per-second", PER_SECOND_MAX, &playing->per_second, err);
    if (r == 0) r = take_number(playing, "for", "--for", INT32_MAX, &seconds, err);
    if (r == 0) r = take_number(playing, "seed", "--seed", INT64_MAX, &seed, err);
    if (r == 0) r = check_pairs(playing, "error", "--error", 1, err);
    if (r == 0) r = check_pairs(playing, "latency_ms", "--latency-ms", 1e9, err);
    if (r == 0) r = check_pairs(playing, "quality", "--quality", 1, err);
    playing->until = seconds * SECOND;
    for (size_t i = 0; i < ARRAY_LEN(playing->dice); i++)
        playing->dice[i] = (unsigned short)((uint64_t)seed >> 16 * i);
    return r < 0 ? r : uuid_new(cli->world->clock, playing->instance, err);
}

static int announce(const struct playing *playing, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    str_printf(&out,
               "A simulation: made-up users and made-up outcomes, %lld runs a second of each of %zu agents in %s.\n"
               "No model is called and nobody is asked. Ctrl-C ends it.\n",
               (long long)playing->per_second, playing->count, playing->environment);
    return cli_write(playing->cli, &out, err);
}

int run_demo_traffic(struct cli *cli, struct err *err) {
    struct playing playing = {.cli = cli};
    int r = prepare(&playing, err);
    if (r == 0) r = find_players(&playing, err);
    if (r == 0) r = announce(&playing, err);
    if (r == 0 && args_on(&cli->args, "rollouts")) r = start_rollouts(&playing, err);
    if (r == 0) r = play(&playing, err);
    if (playing.began && is_away(r)) err_prefix(err, "the server is gone, so this ends: ");
    str_deinit(&playing.waiting);
    str_deinit(&playing.sending);
    return r;
}
