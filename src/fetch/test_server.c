/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/test_server.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNECTIONS_MAX 512
#define REQUEST_MAX 65536

struct connection {
    struct test_server *server;
    pthread_t thread;
    int fd;
    SSL *ssl;
};

struct test_server {
    int fd, port;
    SSL_CTX *tls;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    int asked;
    int status; /* of paths that the table does not name */
    char *body;
    char line[SERVER_LINE_SIZE]; /* the newest request's first */
    size_t count;
    struct connection connections[CONNECTIONS_MAX];
};

/* ---- bytes ---- */

static long get_bytes(struct connection *connection, char *buffer, size_t size) {
    return connection->ssl ? SSL_read(connection->ssl, buffer, (int)size) : recv(connection->fd, buffer, size, 0);
}

static bool put_bytes(struct connection *connection, const char *bytes, size_t len) {
    if (connection->ssl) return SSL_write(connection->ssl, bytes, (int)len) > 0;
    for (ssize_t n; len; bytes += n, len -= (size_t)n)
        if ((n = send(connection->fd, bytes, len, MSG_NOSIGNAL)) <= 0) return false;
    return true;
}

static bool put_text(struct connection *connection, const char *text) {
    return put_bytes(connection, text, strlen(text));
}

/* Until the other side or server_stop() ends it. */
static void wait_for_end(struct connection *connection) {
    char byte;
    while (get_bytes(connection, &byte, 1) > 0)
        ;
}

/* ---- answers ---- */

static void answer_large(struct connection *connection) {
    char bytes[4096];
    memset(bytes, 'x', sizeof(bytes));
    bool goes = put_text(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    for (size_t i = 0; goes && i < 1048576 / sizeof(bytes); i++)
        goes = put_bytes(connection, bytes, sizeof(bytes));
}

static void answer_heads(struct connection *connection) {
    bool goes = put_text(connection, "HTTP/1.1 200 OK\r\n");
    while (goes)
        goes = put_text(connection, "X-More: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
}

static bool answer_echo(struct connection *connection, const char *request, size_t len) {
    char head[128];
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    return put_text(connection, head) && put_bytes(connection, request, len);
}

static bool answer_said(struct connection *connection) {
    struct test_server *server = connection->server;
    char head[128];
    pthread_mutex_lock(&server->lock);
    int status = server->status;
    char *body = strdup(server->body ? server->body : "");
    pthread_mutex_unlock(&server->lock);
    assert_non_null(body);
    (void)snprintf(head, sizeof(head), "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n\r\n", status, strlen(body));
    bool open = status != 0;
    if (open)
        open = put_text(connection, head) && put_text(connection, body);
    else
        wait_for_end(connection);
    free(body);
    return open;
}

/* Whether the connection stays open. */
static bool answer(struct connection *connection, const char *request, size_t len) {
    static const char part[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx";
    const char *path = strchr(request, ' ') + 1;
    if (strstr(path, "/api/")) return answer_said(connection);
    if (!strncmp(path, "/ok", 3)) return put_text(connection, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    if (!strncmp(path, "/busy", 5))
        return put_text(connection, "HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n");
    if (!strncmp(path, "/echo", 5)) return answer_echo(connection, request, len);
    if (!strncmp(path, "/redirect", 9))
        return put_text(connection, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    if (!strncmp(path, "/large", 6)) answer_large(connection);
    if (!strncmp(path, "/heads", 6)) answer_heads(connection);
    if (!strncmp(path, "/garbage", 8)) put_text(connection, "SSH-2.0-OpenSSH_9.2\r\n");
    if (!strncmp(path, "/cut", 4)) put_text(connection, part);
    if (!strncmp(path, "/drip", 5)) put_text(connection, part);
    if (!strncmp(path, "/drip", 5) || !strncmp(path, "/mute", 5)) wait_for_end(connection);
    return false;
}

/* ---- requests ---- */

static size_t length_of(const char *request) {
    const char *end = strstr(request, "\r\n\r\n");
    if (!end) return 0;
    const char *length = strcasestr(request, "\r\nContent-Length: ");
    return (size_t)(end + 4 - request) + (length && length < end ? strtoul(length + 18, NULL, 10) : 0);
}

static void note_asked(struct test_server *server, const char *request) {
    pthread_mutex_lock(&server->lock);
    server->asked++;
    (void)snprintf(server->line, sizeof(server->line), "%.*s", (int)strcspn(request, "\r"), request);
    pthread_cond_broadcast(&server->news);
    pthread_mutex_unlock(&server->lock);
}

static void *serve(void *ctx) {
    struct connection *connection = ctx;
    char *request = calloc(1, REQUEST_MAX);
    bool open = request && (!connection->ssl || SSL_accept(connection->ssl) == 1);
    for (size_t have = 0, wanted; open;) {
        long n = get_bytes(connection, request + have, REQUEST_MAX - 1 - have);
        if (n <= 0) break;
        have += (size_t)n;
        request[have] = '\0';
        wanted = length_of(request);
        if (!wanted || have < wanted) continue;
        note_asked(connection->server, request);
        open = answer(connection, request, have);
        have = 0;
    }
    free(request);
    shutdown(connection->fd, SHUT_RDWR);
    return NULL;
}

static void *take_connections(void *ctx) {
    struct test_server *server = ctx;
    for (int fd; (fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        assert_true(server->count < CONNECTIONS_MAX);
        struct connection *connection = &server->connections[server->count];
        *connection = (struct connection){.server = server, .fd = fd};
        if (server->tls) {
            connection->ssl = SSL_new(server->tls);
            SSL_set_fd(connection->ssl, fd);
        }
        assert_int_equal(pthread_create(&connection->thread, NULL, serve, connection), 0);
        server->count++;
    }
    return NULL;
}

/* ---- TLS ---- */

static SSL_CTX *make_tls(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_true(key && certificate);
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"127.0.0.1", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return tls;
}

/* ---- life ---- */

struct test_server *server_start(bool tls) {
    struct test_server *server = calloc(1, sizeof(*server));
    assert_non_null(server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->fd, 64), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    server->tls = tls ? make_tls() : NULL;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->news, NULL);
    assert_int_equal(pthread_create(&server->thread, NULL, take_connections, server), 0);
    return server;
}

void server_stop(struct test_server *server) {
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    for (size_t i = 0; i < server->count; i++) {
        struct connection *connection = &server->connections[i];
        shutdown(connection->fd, SHUT_RDWR);
        pthread_join(connection->thread, NULL);
        SSL_free(connection->ssl);
        close(connection->fd);
    }
    SSL_CTX_free(server->tls);
    free(server->body);
    pthread_cond_destroy(&server->news);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

void server_say(struct test_server *server, int status, const char *body) {
    pthread_mutex_lock(&server->lock);
    free(server->body);
    server->status = status;
    server->body = strdup(body);
    pthread_mutex_unlock(&server->lock);
}

void server_line(struct test_server *server, char ret[SERVER_LINE_SIZE]) {
    pthread_mutex_lock(&server->lock);
    memcpy(ret, server->line, SERVER_LINE_SIZE);
    pthread_mutex_unlock(&server->lock);
}

int server_port(const struct test_server *server) {
    return server->port;
}

int server_asked(struct test_server *server) {
    pthread_mutex_lock(&server->lock);
    int asked = server->asked;
    pthread_mutex_unlock(&server->lock);
    return asked;
}

bool server_wait_asked(struct test_server *server, int count) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&server->lock);
    for (int r = 0; server->asked < count && r == 0;)
        r = pthread_cond_timedwait(&server->news, &server->lock, &until);
    bool enough = server->asked >= count;
    pthread_mutex_unlock(&server->lock);
    return enough;
}
