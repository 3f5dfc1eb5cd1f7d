/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin serve`: signals are blocked in every thread and read by the main one, which ticks once a second. SIGTERM and SIGINT
 * drain, SIGHUP reads the settings again.
 */
#include "server/serve.h"

#include "cli/cli.h"
#include "server/parts.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static sigset_t wanted_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

/* The tick is due even when signals come in quick succession. */
static void run_until_asked_to_stop(struct parts *parts, const sigset_t *signals) {
    const int64_t tick_us = 1000000;
    int64_t due = clock_monotonic(&clock_system) + tick_us;
    for (;;) {
        int64_t left = due - clock_monotonic(&clock_system);
        if (left <= 0) {
            api_tick(parts->api);
            due = clock_monotonic(&clock_system) + tick_us;
            continue;
        }
        struct timespec wait = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
        int signal = sigtimedwait(signals, NULL, &wait);
        if (signal == SIGHUP) parts_reload(parts);
        if (signal == SIGTERM || signal == SIGINT) return;
    }
}

int settings_refused(int r, const struct faults *faults, const struct err *err) {
    for (size_t i = 0; i < faults->count; i++) {
        _cleanup_(str_deinit) struct str line = STR_INIT;
        config_fault_text(&faults->items[i], &line);
        fprintf(stderr, "serin: %s\n", line.data ? line.data : "out of memory");
    }
    if (!faults->count) cli_report(err);
    return r == -ERR_USAGE ? 2 : 1;
}

/* Settings and store, as both commands need them. The exit code, 0 to go on. */
static int begin(struct parts *parts, int argc, char **argv) {
    struct err err = ERR_INIT;
    struct faults faults = FAULTS_INIT;
    int r = parts_settings(parts, argc, argv, &faults, &err);
    int code = r < 0 ? settings_refused(r, &faults, &err) : 0;
    faults_deinit(&faults);
    if (code) return code;

    log_write(&parts->log, LOG_STARTING, "serin starts", "version", SERIN_VERSION, "store",
              config_text(parts->config, SETTING_STORE), NULL);
    if (parts_store(parts, &err) == 0) return 0;
    log_err(&parts->log, LOG_FATAL, &err);
    return 1;
}

static void tell_start(const struct parts *parts) {
    if (*parts->first_key) {
        printf("The first admin key, shown this once:\n\n    %s\n\n", parts->first_key);
        fflush(stdout);
    }
    log_write(&parts->log, LOG_LISTENING, "serin listens", "address", http_server_address(parts->http), NULL);
}

int serve_main(int argc, char **argv) {
    sigset_t signals = wanted_signals();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    struct parts parts = {0};
    struct err err = ERR_INIT;
    int code = begin(&parts, argc, argv);
    if (code == 0 && parts_start(&parts, &err) < 0) {
        log_err(&parts.log, LOG_FATAL, &err);
        code = 1;
    }
    if (code == 0) {
        tell_start(&parts);
        secret_clear(parts.first_key, sizeof(parts.first_key));
        run_until_asked_to_stop(&parts, &signals);
        log_write(&parts.log, LOG_DRAINING, "serin finishes open requests", NULL);
    }
    struct log log = parts.log;
    parts_stop(&parts);
    if (code == 0) log_write(&log, LOG_STOPPED, "serin has stopped", NULL);
    return code;
}

int rebuild_main(int argc, char **argv) {
    struct parts parts = {0};
    struct err err = ERR_INIT;
    int code = begin(&parts, argc, argv);
    if (code == 0 && store_rebuild(parts.store, &err) < 0) {
        log_err(&parts.log, LOG_FATAL, &err);
        code = 1;
    }
    if (code == 0) log_write(&parts.log, LOG_REBUILT, "derived tables were made anew", NULL);
    parts_stop(&parts);
    return code;
}
