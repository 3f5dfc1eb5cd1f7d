/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket: opened here, or handed over. Its options are inherited by every connection that it accepts, which saves a system call each. */
#include "http/http_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define HOST_SIZE 256
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_COUNT 4

static void close_fd(int *fd) {
    if (*fd >= 0) (void)close(*fd);
}

static int bad_address(struct err *err, const char *address, const char *why) {
    int r = err_set(err, ERR_CONFIG, "cannot listen on \"%s\": %s", address, why);
    err_remedy(err, "Give an address and a port, as 127.0.0.1:7420 or [::1]:7420");
    return r;
}

static int split_address(const char *address, char *host, size_t host_size, const char **ret_port, struct err *err) {
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address) return bad_address(err, address, "no port");
    const char *begin = address, *end = colon;
    if (*begin == '[') {
        if (end[-1] != ']') return bad_address(err, address, "a bracket is missing");
        begin++;
        end--;
    } else if (memchr(begin, ':', (size_t)(end - begin))) {
        return bad_address(err, address, "an IPv6 address stands in brackets");
    }
    size_t len = (size_t)(end - begin);
    if (len == 0 || len >= host_size) return bad_address(err, address, "no host");
    memcpy(host, begin, len);
    host[len] = '\0';
    int64_t port;
    if (!text_to_int(colon + 1, 0, 65535, &port))
        return bad_address(err, address, "the port is no number from 0 to 65535");
    *ret_port = colon + 1;
    return 0;
}

static int set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof(value));
}

int http_address_check(const char *address, struct err *err) {
    char host[HOST_SIZE];
    const char *port;
    return split_address(address, host, sizeof(host), &port, err);
}

/* TCP_USER_TIMEOUT is the deadline for an answer that makes no progress: the kernel ends the connection when sent bytes stay
 * unacknowledged, or the client's window stays closed, for that long. Keepalive finds peers that died while a stream sleeps. */
static int prepare(int fd, const struct http_options *options) {
    int timeout_ms = options->request_timeout_s > 2000000 ? 2000000000 : (int)options->request_timeout_s * 1000;
    if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0) return -1;
    if (set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) < 0) return -1;
    if (set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S) < 0) return -1;
    if (set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S) < 0) return -1;
    if (set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT) < 0) return -1;
    return set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
}

static int describe(int fd, char ret_address[HTTP_ADDRESS_SIZE]) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {.v6 = {0}};
    socklen_t len = sizeof(bound);
    char host[INET6_ADDRSTRLEN];
    if (getsockname(fd, &bound.any, &len) < 0) return -1;
    if (bound.any.sa_family == AF_INET6) {
        if (!inet_ntop(AF_INET6, &bound.v6.sin6_addr, host, sizeof(host))) return -1;
        (void)snprintf(ret_address, HTTP_ADDRESS_SIZE, "[%s]:%u", host, ntohs(bound.v6.sin6_port));
        return 0;
    }
    if (bound.any.sa_family != AF_INET || !inet_ntop(AF_INET, &bound.v4.sin_addr, host, sizeof(host))) return -1;
    (void)snprintf(ret_address, HTTP_ADDRESS_SIZE, "%s:%u", host, ntohs(bound.v4.sin_port));
    return 0;
}

static int bind_error(struct err *err, const char *address, int errnum) {
    if (errnum == EADDRINUSE) return err_set(err, ERR_PORT_IN_USE, "something else listens on %s", address);
    return bad_address(err, address, strerror(errnum));
}

static int set_bind_options(int fd, bool ipv6) {
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0) return -1;
    return ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) : 0;
}

static bool has_option(int fd, int name, int wanted) {
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 && value == wanted;
}

int http_socket_address(int fd, char ret[HTTP_ADDRESS_SIZE], struct err *err) {
    if (has_option(fd, SO_TYPE, SOCK_STREAM) && has_option(fd, SO_ACCEPTCONN, 1) && describe(fd, ret) == 0) return 0;
    int r = err_set(err, ERR_CONFIG, "the socket that was handed over is no TCP socket that listens");
    err_remedy(err, "In the socket unit write ListenStream= with an address and a port, and Accept=no");
    return r;
}

static int take_socket(const struct http_options *options, int *ret_fd, char ret_address[HTTP_ADDRESS_SIZE],
                       struct err *err) {
    int fd = options->socket, flags = fcntl(fd, F_GETFL);
    int r = http_socket_address(fd, ret_address, err);
    if (r < 0) return r;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        prepare(fd, options) < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot use the socket that was handed over");
    *ret_fd = fd;
    return 0;
}

int listen_open(const struct http_options *options, int *ret_fd, char ret_address[HTTP_ADDRESS_SIZE], struct err *err) {
    if (options->socket > 0) return take_socket(options, ret_fd, ret_address, err);
    char host[HOST_SIZE];
    const char *port = NULL;
    int r = split_address(options->address, host, sizeof(host), &port, err);
    if (r < 0) return r;

    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) return bad_address(err, options->address, gai_strerror(code));

    _cleanup_(close_fd) int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = fd >= 0 && set_bind_options(fd, found->ai_family == AF_INET6) == 0 && prepare(fd, options) == 0 &&
                 bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0 &&
                 describe(fd, ret_address) == 0;
    int errnum = errno;
    freeaddrinfo(found);
    if (!bound) return bind_error(err, options->address, errnum);
    *ret_fd = fd;
    fd = -1;
    return 0;
}
