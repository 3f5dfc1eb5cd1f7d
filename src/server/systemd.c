/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager's side of sd_listen_fds(3) and sd_notify(3) stands in their manual pages. */
#include "server/systemd.h"

#include "base/str.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_SOCKET 3

/* The variables may have come down from a parent that they were meant for. */
static int read_sockets(struct systemd *systemd, struct err *err) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    int64_t value = 0;
    bool ours = pid && text_to_int(pid, 1, INT32_MAX, &value) && value == getpid();
    if (!ours || !count) return 0;
    if (!text_to_int(count, 0, INT32_MAX, &value) || value > 1) {
        int r = err_set(err, ERR_CONFIG, "%s sockets were handed over; Serin answers on one", count);
        err_at(err, "LISTEN_FDS");
        err_remedy(err, "Write one ListenStream= in the socket unit");
        return r;
    }
    if (value == 1) systemd->socket = FIRST_SOCKET;
    return 0;
}

static void read_notify(struct systemd *systemd) {
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || (*path != '/' && *path != '@') || !path[1] || strlen(path) >= sizeof(systemd->notify)) return;
    memcpy(systemd->notify, path, strlen(path) + 1);
}

int systemd_init(struct systemd *systemd, struct err *err) {
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"};
    *systemd = (struct systemd){0};
    read_notify(systemd);
    int r = read_sockets(systemd, err);
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        (void)unsetenv(variables[i]);
    return r;
}

/* A path, or after '@' a name in the abstract space, which begins with a NUL and ends without one. */
static socklen_t notify_address(const char *path, struct sockaddr_un *ret) {
    size_t len = strlen(path);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, path, len);
    if (*path == '@') ret->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void send_notice(const char *path, const char *text, size_t len) {
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t size = notify_address(path, &address);
    (void)sendto(fd, text, len, MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    (void)close(fd);
}

void systemd_notify(const struct systemd *systemd, const char *fmt, ...) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    va_list args;
    va_start(args, fmt);
    str_vprintf(&text, fmt, args);
    va_end(args);
    if (*systemd->notify && !text.failed) send_notice(systemd->notify, text.data, text.len);
}
