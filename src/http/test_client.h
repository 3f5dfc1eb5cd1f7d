/* SPDX-License-Identifier: Apache-2.0 */
/* For tests only: a server on a free port, and a client that can be as rude as it likes. */
#ifndef SERIN_HTTP_TEST_CLIENT_H
#define SERIN_HTTP_TEST_CLIENT_H

#include "http/http.h"

struct answer {
    int status;
    char head[4096];
    struct str body; /* chunks taken apart */
    bool complete;   /* the whole body came */
};

/* Sane options for a server on a free port; `handler` is left to the test. */
struct http_options test_options(void);
/* The `refuse` callback: {"code": …}. */
void test_refuse(void *ctx, const struct err *err, struct arena *arena, struct http_response *response);
struct http_server *test_start(const struct http_options *options);

int client_connect(const struct http_server *server);
bool client_send(int fd, const char *bytes, size_t len); /* false: the server has reset the connection */
void client_text(int fd, const char *text);
/* Reads one answer; false when the connection ended before its head was complete. Deinit the body. */
bool client_answer(int fd, bool head_request, struct answer *ret);
/* Sends `text`, reads one answer, checks its status, and answers its body (malloced). */
char *client_ask(int fd, const char *text, int status);
/* Whether the server has closed (or closes within `wait_ms`), reading what still comes. */
bool client_closed(int fd, int wait_ms);
const char *answer_header(const struct answer *answer, const char *name, char *buffer, size_t size); /* or NULL */

void sleep_ms(unsigned ms);
/* Waits up to 5 s for `*value` to be at least `least`. */
bool wait_for(const _Atomic int *value, int least);
/* Until the watch has looked at all connections, from the beginning, so many times. */
void wait_looks(const struct http_server *server, unsigned count);

#endif
