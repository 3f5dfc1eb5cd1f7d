/* SPDX-License-Identifier: Apache-2.0 */
#include "http/test_client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000

void test_refuse(void *ctx, const struct err *err, struct arena *arena, struct http_response *response) {
    response->status = err_status(err->code);
    response->content_type = "application/problem+json";
    str_printf(&response->body, "{\"code\":\"%s\"}", err_name(err->code));
}

struct http_options test_options(void) {
    return (struct http_options){
        .address = "127.0.0.1:0",
        .workers = 1,
        .control_threads = 2,
        .control_queue = 4,
        .header_limit = 8192,
        .body_limit = 64 * 1024,
        .connections = 1000,
        .idle_timeout_s = 30,
        .request_timeout_s = 30,
        .clock = &clock_system,
        .handler = {.refuse = test_refuse},
    };
}

struct http_server *test_start(const struct http_options *options) {
    struct http_server *server = NULL;
    struct err err = ERR_INIT;
    if (http_server_start(options, &server, &err) < 0) fail_msg("%s", err.message);
    return server;
}

int client_connect(const struct http_server *server) {
    const char *address = http_server_address(server);
    int64_t port;
    assert_true(text_to_int(strrchr(address, ':') + 1, 1, 65535, &port));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

bool client_send(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0) return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

void client_text(int fd, const char *text) {
    (void)client_send(fd, text, strlen(text));
}

static bool read_byte(int fd, char *ret) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, PATIENCE_MS) != 1) fail_msg("the server says nothing for %d ms", PATIENCE_MS);
    return recv(fd, ret, 1, 0) == 1;
}

static bool read_until(int fd, const char *end, char *buffer, size_t size) {
    size_t len = 0, end_len = strlen(end);
    while (len + 1 < size) {
        if (!read_byte(fd, buffer + len)) return false;
        buffer[++len] = '\0';
        if (len >= end_len && strcmp(buffer + len - end_len, end) == 0) return true;
    }
    fail_msg("more than %zu bytes without an end", size);
    return false;
}

static bool read_count(int fd, size_t count, struct str *body) {
    char c;
    for (size_t i = 0; i < count; i++) {
        if (!read_byte(fd, &c)) return false;
        str_add_char(body, c);
    }
    return true;
}

static bool read_chunks(int fd, struct str *body) {
    for (;;) {
        char line[64];
        if (!read_until(fd, "\r\n", line, sizeof(line))) return false;
        size_t size = strtoul(line, NULL, 16);
        if (size > 0 && !read_count(fd, size, body)) return false;
        if (!read_until(fd, "\r\n", line, sizeof(line))) return false;
        if (size == 0) return true;
    }
}

const char *answer_header(const struct answer *answer, const char *name, char *buffer, size_t size) {
    size_t len = strlen(name);
    for (const char *line = strstr(answer->head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) != 0 || strncmp(line + 2 + len, ": ", 2) != 0) continue;
        const char *value = line + 2 + len + 2;
        (void)snprintf(buffer, size, "%.*s", (int)(strstr(value, "\r\n") - value), value);
        return buffer;
    }
    return NULL;
}

bool client_answer(int fd, bool head_request, struct answer *ret) {
    char value[64];
    *ret = (struct answer){0};
    if (!read_until(fd, "\r\n\r\n", ret->head, sizeof(ret->head))) return false;
    assert_int_equal(strncmp(ret->head, "HTTP/1.1 ", 9), 0);
    ret->status = (int)strtol(ret->head + 9, NULL, 10);
    if (head_request || ret->status < 200 || ret->status == 204 || ret->status == 304) {
        ret->complete = true;
    } else if (answer_header(ret, "Transfer-Encoding", value, sizeof(value))) {
        ret->complete = read_chunks(fd, &ret->body);
    } else if (answer_header(ret, "Content-Length", value, sizeof(value))) {
        ret->complete = read_count(fd, strtoul(value, NULL, 10), &ret->body);
    } else { /* until the end */
        (void)read_count(fd, SIZE_MAX, &ret->body);
        ret->complete = true;
    }
    return true;
}

char *client_ask(int fd, const char *text, int status) {
    struct answer answer;
    client_text(fd, text);
    if (!client_answer(fd, false, &answer)) fail_msg("no answer to: %s", text);
    assert_true(answer.complete);
    if (answer.status != status) fail_msg("%d instead of %d: %s", answer.status, status, answer.body.data);
    str_add_text(&answer.body, "");
    return str_take(&answer.body);
}

bool client_closed(int fd, int wait_ms) {
    char waste[4096];
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, wait_ms) != 1) return false;
        if (recv(fd, waste, sizeof(waste), 0) <= 0) return true;
    }
}

void sleep_ms(unsigned ms) {
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};
    (void)nanosleep(&time, NULL);
}

bool wait_for(const _Atomic int *value, int least) {
    for (int i = 0; i < 5000; i++) {
        if (atomic_load(value) >= least) return true;
        sleep_ms(1);
    }
    return false;
}

void wait_looks(const struct http_server *server, unsigned count) {
    struct http_stats stats;
    http_server_stats(server, &stats);
    uint64_t enough = stats.looks + count + 1; /* one may have begun before */
    for (int i = 0; i < 10000 && stats.looks < enough; i++) {
        sleep_ms(1);
        http_server_stats(server, &stats);
    }
    assert_true(stats.looks >= enough);
}
