/* SPDX-License-Identifier: Apache-2.0 */
/* The store, the files beside it, and the server that may have it. Whether one has it is read off the system's list of locks: trying the
 * lock would keep a server from starting in that moment. */
#include "base/file.h"
#include "server/doctor.h"
#include "server/keeper.h"
#include "server/parts.h"
#include "snapshot/file.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <unistd.h>

#define LOG_LARGE (INT64_C(128) * 1024 * 1024)
#define ANSWER_WAIT_S 3

void check_settings(struct doctor *doctor, struct finding *ret) {
    _cleanup_(fetch_allow_freep) struct fetch_allow *allow = NULL;
    struct err err = ERR_INIT;
    int set = 0;
    if (fetch_allow_new(config_text(doctor->care->config, SETTING_OUTGOING_ALLOW), &allow, &err) < 0) {
        err_at(&err, "outgoing_allow");
        finding_err(ret, &err);
        return;
    }
    for (unsigned id = 0; id < SETTING_COUNT_; id++)
        set += config_source(doctor->care->config, (enum setting_id)id) != SETTING_DEFAULT;
    finding_ok(ret, "all are valid; %d differ from their defaults", set);
}

/* ---- files ---- */

static void check_rights(const char *what, const struct stat *st, struct finding *ret) {
    if (st->st_uid != geteuid() && geteuid() != 0) {
        finding_warn(ret, "Run the doctor as the server's user, or give the file to that user",
                     "%s belongs to user %u, not to the one who asks", what, (unsigned)st->st_uid);
        return;
    }
    if (st->st_mode & 077)
        finding_problem(ret, "chmod 600: it holds what only the server's user may read",
                        "%s can be read by others (mode %03o)", what, (unsigned)(st->st_mode & 0777));
}

void check_file(struct doctor *doctor, struct finding *ret) {
    char size[CARE_SIZE_TEXT];
    struct stat st;
    if (stat(doctor->path, &st) < 0) {
        finding_problem(
            ret, "Name the store with --store; `serin serve` makes a new one, `serin restore` brings a backup back",
            "%s: %s", doctor->path, strerror(errno));
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        finding_problem(ret, "Name a file for the store", "%s is no regular file", doctor->path);
        return;
    }
    care_size_text(st.st_size, size);
    finding_ok(ret, "%s, %s", doctor->path, size);
    check_rights(doctor->path, &st, ret);
}

void check_log(struct doctor *doctor, struct finding *ret) {
    _cleanup_(freep) char *path = care_beside(doctor->path, "-wal");
    char size[CARE_SIZE_TEXT];
    struct stat st;
    if (!path || stat(path, &st) < 0) return;
    care_size_text(st.st_size, size);
    if (st.st_size >= LOG_LARGE)
        finding_warn(
            ret,
            "Look for a program that holds the store open for long, as a slow backup; it shrinks when that has ended",
            "%s has grown: somebody who reads keeps it from being brought into the file", size);
    else if (st.st_size && !doctor->holder)
        finding_ok(ret, "%s: the last server did not end in order; the next start brings it into the file", size);
    else
        finding_ok(ret, "%s", size);
}

void check_leftovers(struct doctor *doctor, struct finding *ret) {
    _cleanup_(freep) char *path = care_beside(doctor->path, ".restoring");
    if (path && access(path, F_OK) == 0)
        finding_warn(ret, "Run `serin restore` again, or remove the file", "%s: a restore was broken off", path);
}

void check_audit_key(struct doctor *doctor, struct finding *ret) {
    _cleanup_(freep) char *path = audit_key_path(doctor->care->config);
    struct stat st;
    if (!path) return;
    if (stat(path, &st) == 0) {
        finding_ok(ret, "%s", path);
        check_rights(path, &st, ret);
    } else if (errno != ENOENT) {
        finding_problem(ret, "Let the server's user read it", "%s: %s", path, strerror(errno));
    } else if (access(doctor->path, F_OK) == 0) {
        finding_warn(ret, "Put back the one that was kept with the backup; else the next start makes a new one",
                     "%s is missing: checkpoints kept so far were signed by it", path);
    }
}

/* What a start without the store would read. */
static int read_snapshot(const char *path, struct position *ret, struct err *err) {
    _cleanup_(str_deinit) struct str bytes = STR_INIT;
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    int r = file_read(path, SIZE_MAX, &bytes, NULL, err);
    if (r == 0) r = snapshot_file_read(str_slice(&bytes), &snapshot, err);
    if (r == 0) *ret = snapshot_position(snapshot);
    return r;
}

void check_snapshot(struct doctor *doctor, struct finding *ret) {
    _cleanup_(freep) char *path = keeper_path(doctor->care->config);
    char size[CARE_SIZE_TEXT], text[POSITION_TEXT_SIZE];
    struct position position = {0};
    struct err err = ERR_INIT;
    struct stat st;
    if (!path || stat(path, &st) < 0) return;
    if (read_snapshot(path, &position, &err) < 0) {
        finding_err(ret, &err);
        return;
    }
    care_size_text(st.st_size, size);
    position_text(position, text);
    finding_ok(ret, "%s, position %s, written %lld s ago", size, text,
               (long long)(clock_wall(&clock_system) / 1000000 - st.st_mtime));
    check_rights(path, &st, ret);
}

/* ---- what is in it ---- */

void check_opens(struct doctor *doctor, struct finding *ret) {
    struct store_options options = {.url = doctor->care->url, .clock = &clock_system};
    struct err err = ERR_INIT;
    if (access(doctor->path, F_OK) < 0) return;
    if (store_visit(&options, STORE_STILL, &doctor->store, &err) < 0)
        finding_err(ret, &err);
    else
        finding_ok(ret, "schema %d", store_schema(doctor->store));
}

void check_whole(struct doctor *doctor, struct finding *ret) {
    char position[POSITION_TEXT_SIZE], at[CLOCK_TEXT_SIZE];
    struct err err = ERR_INIT;
    if (!doctor->store) return;
    if (store_verify(doctor->store, true, &doctor->care->watch, &doctor->head, &err) < 0) {
        finding_err(ret, &err);
        return;
    }
    doctor->sound = true;
    position_text(doctor->head.position, position);
    clock_text(doctor->head.at, at);
    finding_ok(ret, "every page is readable; the newest change is %s of %s, and the end of the audit log holds",
               position, at);
}

void check_derived(struct doctor *doctor, struct finding *ret) {
    struct err err = ERR_INIT;
    if (!doctor->sound) return;
    if (store_derived_check(doctor->store, &err) < 0)
        finding_err(ret, &err);
    else
        finding_ok(ret, "they say what the history says");
}

/* ---- the server ---- */

/* "1: FLOCK  ADVISORY  WRITE 16153 fe:01:12345 0 EOF" */
static int64_t find_holder(const struct stat *lock) {
    _cleanup_(freep) char *line = NULL;
    size_t size = 0;
    long pid = 0;
    FILE *list = fopen("/proc/locks", "re");
    if (!list) return 0;
    while (!pid && getline(&line, &size, list) > 0) {
        unsigned major_number, minor_number;
        unsigned long long inode;
        long owner;
        /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
        int read = sscanf(line, "%*d: FLOCK %*s WRITE %ld %x:%x:%llu", &owner, &major_number, &minor_number, &inode);
        if (read != 4) continue;
        if (inode == lock->st_ino && major_number == major(lock->st_dev) && minor_number == minor(lock->st_dev))
            pid = owner;
    }
    (void)fclose(list);
    return pid;
}

void check_server(struct doctor *doctor, struct finding *ret) {
    _cleanup_(freep) char *real = realpath(doctor->path, NULL);
    _cleanup_(freep) char *path = care_beside(real ? real : doctor->path, ".lock");
    struct stat st;
    if (path && stat(path, &st) == 0) doctor->holder = find_holder(&st);
    if (doctor->holder)
        finding_ok(ret, "process %lld has the store", (long long)doctor->holder);
    else
        finding_ok(ret, "none has the store");
}

/* "127.0.0.1:7420", "[::1]:7420": false for a port that is only known while it runs. */
static bool split_address(const char *address, char host[256], char port[16]) {
    const char *colon = strrchr(address, ':');
    if (!colon) return false;
    bool bracket = *address == '[';
    int len = (int)(colon - address) - (bracket ? 2 : 0);
    snprintf(host, 256, "%.*s", len > 0 ? len : 0, address + bracket);
    snprintf(port, 16, "%s", colon + 1);
    return strcmp(port, "0") != 0;
}

static int connect_to(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
    if (getaddrinfo(host, port, &hints, &list) != 0) return -1;
    int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    }
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) < 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

/* The status of the answer, 0 when there is none. */
static int ask_ready(const char *host, const char *port) {
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n";
    char answer[16] = "";
    int64_t status = 0;
    int fd = connect_to(host, port);
    if (fd < 0) return 0;
    bool sent = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1;
    ssize_t n = sent ? recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) : -1;
    close(fd);
    if (n < 12 || strncmp(answer, "HTTP/1.1 ", 9) != 0) return 0;
    answer[12] = '\0';
    return text_to_int(answer + 9, 100, 599, &status) ? (int)status : 0;
}

void check_answers(struct doctor *doctor, struct finding *ret) {
    const char *address = config_text(doctor->care->config, SETTING_LISTEN);
    char host[256], port[16];
    if (!doctor->holder || !split_address(address, host, port)) return;
    int status = ask_ready(host, port);
    if (status == 200)
        finding_ok(ret, "%s answers and is ready", address);
    else if (status)
        finding_warn(ret, "Ask /readyz for the reason, and read the server's log",
                     "%s answers %d: it should get no traffic now", address, status);
    else
        finding_problem(ret,
                        "Give the doctor the server's own settings (--listen or --settings); else look whether it "
                        "hangs, and restart it",
                        "a server has the store, but %s does not answer", address);
}
