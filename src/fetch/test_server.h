/* SPDX-License-Identifier: Apache-2.0 */
/* For tests only: a server on a free port of loopback, with TLS and a certificate that nobody knows if asked for. What it answers is chosen by the path:
 *
 *   /ok        200 "hello"                       /mute     nothing, ever
 *   /echo      200 and the request's own bytes   /drip     200, one byte of a hundred, then nothing
 *   /redirect  302 to /ok                        /cut      200, one byte of a hundred, then the end
 *   /large     200 and 1 MiB                     /heads    200 and headers without end
 *   /garbage   what is no HTTP
 */
#ifndef SERIN_FETCH_TEST_SERVER_H
#define SERIN_FETCH_TEST_SERVER_H

#include <stdbool.h>

struct test_server;
struct test_server *server_start(bool tls);
void server_stop(struct test_server *server);
int server_port(const struct test_server *server);
/* What paths with /api/ in them get from now on; status 0: nothing, ever. */
void server_say(struct test_server *server, int status, const char *body);
/* The newest request's first line. */
#define SERVER_LINE_SIZE 512
void server_line(struct test_server *server, char ret[SERVER_LINE_SIZE]);
/* Requests that came whole; waits up to 10 s until there are so many. */
int server_asked(struct test_server *server);
bool server_wait_asked(struct test_server *server, int count);

#endif
