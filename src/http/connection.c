/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: who is let in, and the table of those that are open. */
#include "http/http_impl.h"

#include <stdlib.h>
#include <string.h>

const struct sockaddr *connection_address(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

void connection_enter(struct http_connection *connection, enum http_phase phase) {
    int64_t now = atomic_load_explicit(&connection->server->now, memory_order_relaxed);
    atomic_store_explicit(&connection->since, now, memory_order_relaxed);
    atomic_store_explicit(&connection->phase, (int)phase, memory_order_release);
}

/* Two workers may both let in the last one; the limit may be passed by as many as there are workers. */
enum MHD_Result connection_admit(void *ctx, const struct sockaddr *address, socklen_t len) {
    struct http_server *server = ctx;
    const struct http_options *options = &server->options;
    pthread_mutex_lock(&server->lock);
    bool full = server->open >= options->connections, full_address = false;
    if (!full && options->connections_per_address > 0) {
        const struct address_count *count = address_find(server, address);
        full_address = count && count->count >= options->connections_per_address;
    }
    pthread_mutex_unlock(&server->lock);
    if (full) server_count_refusal(server, HTTP_LIMIT_CONNECTIONS);
    if (full_address) server_count_refusal(server, HTTP_LIMIT_ADDRESS);
    return full || full_address || atomic_load(&server->stopping) ? MHD_NO : MHD_YES;
}

static bool table_reserve(struct http_server *server, size_t fd) {
    if (fd < server->table_size) return true;
    size_t size = server->table_size ? server->table_size : 64;
    while (size <= fd)
        size *= 2;
    struct http_connection **table = realloc(server->table, size * sizeof(struct http_connection *));
    if (!table) return false;
    memset(table + server->table_size, 0, (size - server->table_size) * sizeof(struct http_connection *));
    server->table = table;
    server->table_size = size;
    return true;
}

static bool table_add(struct http_server *server, struct http_connection *connection) {
    pthread_mutex_lock(&server->lock);
    bool added = table_reserve(server, (size_t)connection->fd);
    if (added) {
        server->table[connection->fd] = connection;
        server->open++;
        const struct sockaddr *address = connection_address(connection->mhd);
        if (address && server->options.connections_per_address > 0) connection->address = address_take(server, address);
    }
    pthread_mutex_unlock(&server->lock);
    return added;
}

/* Without memory the context stays NULL, and the first request ends the connection. */
static struct http_connection *connection_new(struct http_server *server, struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || info->connect_fd < 0) return NULL;
    struct http_connection *connection = calloc(1, sizeof(*connection));
    if (!connection) return NULL;
    connection->server = server;
    connection->mhd = mhd;
    connection->fd = info->connect_fd;
    connection->worker = pthread_self();
    request_init(&connection->request, connection);
    connection->wake.mhd = mhd;
    connection->end_looked_for = INT64_MIN;
    connection_enter(connection, PHASE_IDLE);
    if (!table_add(server, connection)) {
        free(connection);
        return NULL;
    }
    atomic_fetch_add_explicit(&server->connections_total, 1, memory_order_relaxed);
    return connection;
}

static void connection_free(struct http_connection *connection) {
    struct http_server *server = connection->server;
    pthread_mutex_lock(&server->lock);
    server->table[connection->fd] = NULL;
    server->open--;
    address_give_back(server, connection->address);
    atomic_fetch_add_explicit(&server->closed_requests,
                              atomic_load_explicit(&connection->requests, memory_order_relaxed), memory_order_relaxed);
    pthread_mutex_unlock(&server->lock);
    if (connection->slot_release) connection->slot_release(connection->slot);
    request_deinit(&connection->request);
    free(connection);
}

void connection_notify(void *ctx, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *socket_context = connection_new(ctx, mhd);
    else if (*socket_context)
        connection_free(*socket_context);
}
