/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin serve`: signals are blocked in every thread and read by the main one, which ticks once a second. SIGTERM and SIGINT
 * drain, SIGHUP reads the settings again. While the parts are stopped another thread reads the signals: the first one promised an end
 * within drain_timeout_s, a second one asks for it now, and neither may wait for a disk that hangs.
 */
#include "server/serve.h"

#include "cli/cli.h"
#include "server/parts.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)

static sigset_t wanted_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

/* Waits for a signal for so long; 0 when none came. */
static int wait_for_signal(const sigset_t *signals, int64_t microseconds) {
    struct timespec wait = {.tv_sec = microseconds / SECOND, .tv_nsec = microseconds % SECOND * 1000};
    int signal = sigtimedwait(signals, NULL, &wait);
    return signal > 0 ? signal : 0;
}

static void reload(struct parts *parts) {
    systemd_notify(&parts->systemd, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic(&clock_system));
    parts_reload(parts);
    systemd_notify(&parts->systemd, "READY=1");
}

/* The tick is due even when signals come in quick succession. */
static void run_until_asked_to_stop(struct parts *parts, const sigset_t *signals) {
    int64_t due = clock_monotonic(&clock_system) + SECOND;
    for (;;) {
        int64_t left = due - clock_monotonic(&clock_system);
        if (left <= 0) {
            api_tick(parts->api);
            due = clock_monotonic(&clock_system) + SECOND;
            continue;
        }
        int signal = wait_for_signal(signals, left);
        if (signal == SIGHUP) reload(parts);
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

/* Settings and log, as both commands need them. The exit code, 0 to go on. */
static int begin(struct parts *parts, int argc, char **argv) {
    struct err err = ERR_INIT;
    struct faults faults = FAULTS_INIT;
    int r = parts_settings(parts, argc, argv, &faults, &err);
    int code = r < 0 ? settings_refused(r, &faults, &err) : 0;
    faults_deinit(&faults);
    if (code) return code;

    log_write(&parts->log, LOG_STARTING, "serin starts", "version", SERIN_VERSION, "store",
              config_text(parts->config, SETTING_STORE), NULL);
    return 0;
}

static void tell_start(const struct parts *parts) {
    log_write(&parts->log, LOG_LISTENING, "serin listens", "address", http_server_address(parts->http), NULL);
    systemd_notify(&parts->systemd, "READY=1\nSTATUS=Answers at %s", http_server_address(parts->http));
}

/* ---- the end ---- */

struct ending {
    sigset_t signals;
    struct log log;
    int64_t until;
};

static void *see_to_the_end(void *ctx) {
    const struct ending *ending = ctx;
    int signal = 0;
    for (int64_t left; !signal && (left = ending->until - clock_monotonic(&clock_system)) > 0;)
        signal = wait_for_signal(&ending->signals, left);
    log_write(&ending->log, LOG_CUT, signal ? "a second signal ended serin" : "serin ended before all was finished",
              NULL);
    _exit(signal ? 128 + signal : 0);
}

/* Once all is finished the other thread has nothing to see to. */
static void end(struct parts *parts, const sigset_t *signals) {
    int64_t longest = (config_int(parts->config, SETTING_DRAIN_TIMEOUT) + 1) * SECOND, told = longest + SECOND;
    struct ending ending = {*signals, parts->log, clock_monotonic(&clock_system) + longest};
    sigdelset(&ending.signals, SIGHUP);
    pthread_t thread;
    log_write(&parts->log, LOG_DRAINING, "serin finishes open requests", NULL);
    systemd_notify(&parts->systemd, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\nSTATUS=Finishes open requests",
                   (long long)told);
    bool watched = pthread_create(&thread, NULL, see_to_the_end, &ending) == 0;
    parts_stop(parts);
    if (watched) {
        pthread_cancel(thread);
        pthread_join(thread, NULL);
    }
    log_write(&ending.log, LOG_STOPPED, "serin has stopped", NULL);
}

int serve_main(int argc, char **argv) {
    sigset_t signals = wanted_signals();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    struct parts parts = {0};
    struct err err = ERR_INIT;
    if (systemd_init(&parts.systemd, &err) < 0) {
        cli_report(&err);
        return 1;
    }
    int code = begin(&parts, argc, argv);
    if (code == 0 && parts_start(&parts, &err) < 0) {
        log_err(&parts.log, LOG_FATAL, &err);
        code = 1;
    }
    if (code != 0) {
        parts_stop(&parts);
        return code;
    }
    tell_start(&parts);
    run_until_asked_to_stop(&parts, &signals);
    end(&parts, &signals);
    return 0;
}

static int rebuild(struct parts *parts, struct err *err) {
    int r = parts_store(parts, true, err);
    if (r == 0) r = store_try(parts->store, NULL, NULL, err);
    return r == 0 ? store_rebuild(parts->store, err) : r;
}

int rebuild_main(int argc, char **argv) {
    struct parts parts = {0};
    struct err err = ERR_INIT;
    int code = begin(&parts, argc, argv);
    if (code == 0 && rebuild(&parts, &err) < 0) {
        log_err(&parts.log, LOG_FATAL, &err);
        code = 1;
    }
    if (code == 0) log_write(&parts.log, LOG_REBUILT, "derived tables were made anew", NULL);
    parts_stop(&parts);
    return code;
}
