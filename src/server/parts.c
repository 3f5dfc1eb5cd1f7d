/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting the parts together. Each step leaves the parts in a state that parts_stop() can take apart, so there is one way
 * down from everywhere.
 */
#include "server/parts.h"

#include "controller/standing.h"
#include "intake/intake.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUTCOMES_SAVED_EACH INT64_C(3000000) /* microseconds */

extern char **environ;

/* ---- settings and log ---- */

static bool log_as_json(const struct config *config) {
    const char *format = config_text(config, SETTING_LOG_FORMAT);
    if (!strcmp(format, "auto")) return !isatty(STDERR_FILENO);
    return !strcmp(format, "json");
}

/* All that a reload may change of the log, which every thread uses. */
static void set_log_level(struct parts *parts) {
    enum log_level level;
    /* The setting's choices are the levels' names. */
    if (!log_level_from_text(config_text(parts->config, SETTING_LOG_LEVEL), &level)) level = LOG_INFO;
    atomic_store(&parts->log.level, level);
}

static void set_log(struct parts *parts) {
    parts->log = (struct log){.fd = STDERR_FILENO, .clock = &clock_system, .json = log_as_json(parts->config)};
    parts->log.colour = !parts->log.json && isatty(STDERR_FILENO) && !getenv("NO_COLOR");
    set_log_level(parts);
}

static int make_outgoing(struct parts *parts, struct err *err) {
    int r = fetch_allow_new(config_text(parts->config, SETTING_OUTGOING_ALLOW), &parts->outgoing, err);
    if (r < 0) err_at(err, "outgoing_allow");
    return r;
}

int parts_settings(struct parts *parts, int argc, char **argv, struct faults *faults, struct err *err) {
    struct config_sources sources = {.argc = argc, .argv = argv, .environment = environ};
    int r = config_load(&sources, &parts->config, faults, err);
    if (r < 0) return r;
    set_log(parts);
    r = http_address_check(config_text(parts->config, SETTING_LISTEN), err);
    return r < 0 ? r : make_outgoing(parts, err);
}

/* The list's own faults are found behind those of the table's types. */
static void reload_outgoing(struct parts *parts) {
    struct err err = ERR_INIT;
    if (fetch_allow_set(parts->outgoing, config_text(parts->config, SETTING_OUTGOING_ALLOW), &err) == 0) return;
    err_at(&err, "outgoing_allow");
    log_err(&parts->log, LOG_SETTINGS_REFUSED, &err);
}

void parts_reload(struct parts *parts) {
    struct err err = ERR_INIT;
    struct faults faults = FAULTS_INIT;
    _cleanup_(str_deinit) struct str restart = STR_INIT;
    if (config_reload(parts->config, &restart, &faults, &err) < 0) {
        log_err(&parts->log, LOG_SETTINGS_REFUSED, &err);
    } else {
        set_log_level(parts);
        reload_outgoing(parts);
        api_limit_keys(parts->api, (unsigned)config_int(parts->config, SETTING_REQUESTS_PER_KEY));
        log_write(&parts->log, LOG_SETTINGS_RELOADED, "settings were read again", "need_restart",
                  restart.data ? restart.data : "", NULL);
    }
    faults_deinit(&faults);
}

/* ---- store ---- */

static void log_schema(const struct parts *parts) {
    int from = store_schema_from(parts->store), to = store_schema(parts->store);
    if (from == to) return;
    char text[32];
    snprintf(text, sizeof(text), "%d", to);
    log_write(&parts->log, LOG_MIGRATED, from ? "the store was migrated" : "a new store was made", "schema", text,
              NULL);
}

int parts_store(struct parts *parts, bool must_exist, struct err *err) {
    struct store_options options = {
        .url = config_text(parts->config, SETTING_STORE), .clock = &clock_system, .must_exist = must_exist};
    return store_new(&options, &parts->store, err);
}

/* ---- keys ---- */

static int load_audit_key(struct parts *parts, struct err *err) {
    _cleanup_(freep) char *path = audit_key_path(parts->config);
    return path ? audit_key_load(path, parts->audit_key, err) : err_no_memory(err);
}

static int count_keys(void *arg, struct store_tx *tx, struct err *err) {
    size_t *count = arg;
    struct arena arena = ARENA_INIT;
    struct key *keys;
    int r = store_keys(tx, &arena, &keys, count, err);
    arena_deinit(&arena);
    return r;
}

/* Where the server is going to answer: the socket that was handed over knows better than the setting. */
static int find_address(const struct parts *parts, char ret[HTTP_ADDRESS_SIZE], struct err *err) {
    if (parts->systemd.socket > 0) return http_socket_address(parts->systemd.socket, ret, err);
    snprintf(ret, HTTP_ADDRESS_SIZE, "%s", config_text(parts->config, SETTING_LISTEN));
    return 0;
}

static bool is_loopback(const char *listen) {
    return !strncmp(listen, "127.", 4) || !strncmp(listen, "[::1]", 5) || !strncmp(listen, "localhost:", 10);
}

/* A store without keys, open to the network, would hand its first key to a terminal that nobody may be looking at. */
static int check_exposure(struct parts *parts, const char *given, struct err *err) {
    char listen[HTTP_ADDRESS_SIZE];
    size_t keys = 0;
    int r = find_address(parts, listen, err);
    if (r < 0 || is_loopback(listen) || given) return r;
    r = store_read(parts->store, count_keys, &keys, err);
    if (r < 0 || keys) return r;
    r = err_set(err, ERR_CONFIG, "the store has no keys yet and %s is beyond loopback", listen);
    err_at(err, "listen");
    err_remedy(err, "Set SERIN_BOOTSTRAP_KEY to a long random text, or start once on loopback to get the first key");
    return r;
}

static void tell_first_key(const char *key) {
    printf("The first admin key, shown this once:\n\n    %s\n\n", key);
    fflush(stdout);
}

static int make_first_key(struct parts *parts, struct err *err) {
    const char *given = getenv("SERIN_BOOTSTRAP_KEY");
    if (given && !*given) given = NULL;
    int r = check_exposure(parts, given, err);
    if (r < 0) return r;
    char made[AUTH_KEY_TEXT_SIZE];
    r = ops_bootstrap(&parts->ops, given, made, err);
    if (r == 0 && !given) tell_first_key(made);
    secret_clear(made, sizeof(made));
    if (r == 0)
        log_write(&parts->log, LOG_BOOTSTRAP_KEY, "the first admin key was made", "id",
                  given ? AUTH_BOOTSTRAP_ID : "printed", NULL);
    return r < 0 ? r : 0;
}

/* ---- from the snapshot to the wire ---- */

/* What a store needs that was just opened. */
static int store_opened(void *ctx, struct err *err) {
    struct parts *parts = ctx;
    log_schema(parts);
    int r = load_audit_key(parts, err);
    return r < 0 ? r : make_first_key(parts, err);
}

static int make_keeper(struct parts *parts, const char *path, struct err *err) {
    struct keeper_options options = {
        .store = parts->store,
        .live = parts->live,
        .publisher = parts->publisher,
        .path = path,
        .log = &parts->log,
        .opened = store_opened,
        .ctx = parts,
    };
    return keeper_new(&options, &parts->keeper, err);
}

static void standing(void *ctx, struct api_standing *ret) {
    struct parts *parts = ctx;
    struct notifier_stats told;
    keeper_standing(parts->keeper, ret);
    struct guards_stats guards;
    guards_stats(parts->guards, &guards);
    ret->guard_queries = guards.queries;
    ret->guard_failures = guards.failures;
    notifier_stats(parts->notifier, &told);
    ret->webhooks.delivered = told.delivered;
    ret->webhooks.failed = told.failed;
    ret->webhooks.failing = told.failing;
}

static void controller_now(void *ctx, struct controller_stats *ret) {
    const struct parts *parts = ctx;
    controller_stats(parts->controller, ret);
}

static int rollouts_now(void *ctx, each_rollout *each, void *each_ctx) {
    const struct parts *parts = ctx;
    return controller_each(parts->controller, each, each_ctx);
}

static int make_evidence(struct parts *parts, struct err *err) {
    struct intake_options intake = {.store = parts->store,
                                    .clock = &clock_system,
                                    .log = &parts->log,
                                    .judge = &judge_analysis,
                                    .checkpoint_bytes = (size_t)config_int(parts->config, SETTING_OUTCOMES_CHECKPOINT)};
    int r = intake_new(&intake, &parts->intake, err);
    if (r == 0) r = flow_new(&parts->flow, err);
    if (r < 0) return r;
    struct evidence_keeper_options evidence = {.intake = parts->intake, .flow = parts->flow, .clock = &clock_system};
    return evidence_keeper_new(&evidence, &parts->evidence, err);
}

/* Not before everything is made. */
static void news(void *ctx) {
    const struct parts *parts = ctx;
    if (parts->notifier) notifier_wake(parts->notifier);
}

static int make_live(struct parts *parts, struct err *err) {
    if (publisher_new(&parts->publisher) < 0) return err_no_memory(err);
    struct live_options live = {
        .store = parts->store,
        .publisher = parts->publisher,
        .clock = &clock_system,
        .log = &parts->log,
        .rollout = evidence_keeper_tell,
        .rollout_ctx = parts->evidence,
        .news = news,
        .news_ctx = parts,
    };
    return live_new(&live, &parts->live, err);
}

static int make_guards(struct parts *parts, struct err *err) {
    struct guards_options guards = {.clock = &clock_system, .log = &parts->log, .allow = parts->outgoing};
    return guards_new(&guards, &parts->guards, err);
}

/* Readers want what was taken lately, and saving costs writes: they share one in a while, and all of it together takes a twentieth of the time at most. What cannot be
 * saved is shown later. */
static void save_outcomes(void *ctx) {
    struct parts *parts = ctx;
    struct err err = ERR_INIT;
    int64_t now = clock_monotonic(&clock_system), due = atomic_load(&parts->outcomes_due);
    if (now < due || !atomic_compare_exchange_strong(&parts->outcomes_due, &due, now + OUTCOMES_SAVED_EACH)) return;
    int r = intake_checkpoint(parts->intake, &err);
    (void)r;
    int64_t done = clock_monotonic(&clock_system), rest = 20 * (done - now);
    atomic_store(&parts->outcomes_due, done + (rest > OUTCOMES_SAVED_EACH ? rest : OUTCOMES_SAVED_EACH));
}

static int make_api(struct parts *parts, struct err *err) {
    int r = make_evidence(parts, err);
    if (r == 0) r = make_live(parts, err);
    if (r == 0) r = make_guards(parts, err);
    if (r < 0) return r;
    parts->ops = (struct ops){
        .store = parts->store,
        .live = parts->live,
        .clock = &clock_system,
        .log = &parts->log,
        .audit_key = parts->audit_key,
        .outgoing = parts->outgoing,
        .guards = guards_source(parts->guards),
        .save_outcomes = save_outcomes,
        .save_outcomes_ctx = parts,
    };
    struct api_options api = {
        .ops = &parts->ops,
        .publisher = parts->publisher,
        .intake = parts->intake,
        .flow = parts->flow,
        .body_limit = (size_t)config_int(parts->config, SETTING_BODY_LIMIT),
        .stream_ring = (size_t)config_int(parts->config, SETTING_STREAM_RING),
        .streams = (size_t)config_int(parts->config, SETTING_STREAMS),
        .requests_per_key = (unsigned)config_int(parts->config, SETTING_REQUESTS_PER_KEY),
        .standing = standing,
        .standing_ctx = parts,
        .controller = controller_now,
        .rollouts = rollouts_now,
        .controller_ctx = parts,
        .waiters = (unsigned)(config_int(parts->config, SETTING_CONTROL_THREADS) + 1) / 2,
        .cors_origins = config_text(parts->config, SETTING_CORS_ORIGINS),
        .stream_keepalive_s = (unsigned)config_int(parts->config, SETTING_STREAM_KEEPALIVE),
    };
    return api_new(&api, &parts->api, err);
}

static int make_controller(struct parts *parts, struct err *err) {
    struct controller_options controller = {.ops = &parts->ops, .source = evidence_keeper_source(parts->evidence)};
    int r = controller_new(&controller, &parts->controller, err);
    if (r < 0) return r;
    parts->ops.standing = controller_standing;
    parts->ops.standing_ctx = parts->controller;
    return 0;
}

static int make_notifier(struct parts *parts, struct err *err) {
    struct notifier_options notifier = {.ops = &parts->ops};
    return notifier_new(&notifier, &parts->notifier, err);
}

/* Before the first outcome comes: what moved while nobody was told, because the server ended in between. A store that is away has no outcomes either. */
static int look_once(struct parts *parts, struct err *err) {
    int r = controller_look(parts->controller, err);
    return r == -ERR_STORE_UNAVAILABLE ? 0 : r;
}

static unsigned worker_count(const struct config *config) {
    int64_t wished = config_int(config, SETTING_WORKERS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)(wished ? wished : cores > 0 ? cores : 1);
}

static int serve_http(struct parts *parts, struct err *err) {
    const struct config *config = parts->config;
    struct http_options options = {
        .address = config_text(config, SETTING_LISTEN),
        .socket = parts->systemd.socket,
        .workers = worker_count(config),
        .control_threads = (unsigned)config_int(config, SETTING_CONTROL_THREADS),
        .control_queue = (size_t)config_int(config, SETTING_CONTROL_QUEUE),
        .header_limit = (size_t)config_int(config, SETTING_HEADER_LIMIT),
        .body_limit = (size_t)config_int(config, SETTING_BODY_LIMIT),
        .connections = (unsigned)config_int(config, SETTING_CONNECTIONS),
        .connections_per_address = (unsigned)config_int(config, SETTING_CONNECTIONS_PER_ADDRESS),
        .idle_timeout_s = (unsigned)config_int(config, SETTING_IDLE_TIMEOUT),
        .request_timeout_s = (unsigned)config_int(config, SETTING_REQUEST_TIMEOUT),
        .clock = &clock_system,
        .log = &parts->log,
        .handler = api_handler(parts->api),
    };
    int r = files_for_connections(options.workers + options.control_threads, &options.connections, &parts->log, err);
    if (r < 0) return r;
    r = http_server_start(&options, &parts->http, err);
    if (r < 0) return r;
    api_serve(parts->api, parts->http);
    return 0;
}

int parts_start(struct parts *parts, struct err *err) {
    _cleanup_(freep) char *path = keeper_path(parts->config);
    if (!path) return err_no_memory(err);
    int r = parts_store(parts, keeper_finds_file(path), err);
    if (r == 0) r = make_api(parts, err);
    if (r == 0) r = make_controller(parts, err);
    if (r == 0) r = make_notifier(parts, err);
    if (r == 0) r = make_keeper(parts, path, err);
    if (r == 0) r = keeper_begin(parts->keeper, err);
    if (r == 0) r = look_once(parts, err);
    if (r == 0) r = serve_http(parts, err);
    if (r == 0) r = keeper_start(parts->keeper, err);
    if (r == 0) r = guards_start(parts->guards, err);
    if (r == 0) r = controller_start(parts->controller, err);
    return r == 0 ? notifier_start(parts->notifier, err) : r;
}

void parts_stop(struct parts *parts) {
    if (parts->api) api_drain(parts->api);
    if (parts->http) http_server_stop(parts->http, (unsigned)config_int(parts->config, SETTING_DRAIN_TIMEOUT) * 1000);
    if (parts->keeper) keeper_stop(parts->keeper);
    controller_free(parts->controller);
    notifier_free(parts->notifier);
    api_free(parts->api);
    guards_free(parts->guards);
    evidence_keeper_free(parts->evidence);
    flow_free(parts->flow);
    intake_free(parts->intake);
    keeper_free(parts->keeper);
    live_free(parts->live);
    publisher_free(parts->publisher);
    store_close(parts->store);
    fetch_allow_free(parts->outgoing);
    config_free(parts->config);
    secret_clear(parts->audit_key, sizeof(parts->audit_key));
}
