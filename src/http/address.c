/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections each address has. All functions are called with server->lock held. */
#include "base/hash.h"
#include "http/http_impl.h"

#include <stdlib.h>
#include <string.h>

/* IPv4 as it is mapped into IPv6; of IPv6 the network, because a client is given 64 bits to choose from. */
static void address_key(const struct sockaddr *address, uint8_t key[ADDRESS_KEY_SIZE]) {
    memset(key, 0, ADDRESS_KEY_SIZE);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &v4->sin_addr, 4);
        return;
    }
    if (address->sa_family != AF_INET6) return;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    memcpy(key, &v6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8);
}

static struct address_count **bucket_of(struct http_server *server, const uint8_t key[ADDRESS_KEY_SIZE]) {
    return &server->addresses[murmur3_32(key, ADDRESS_KEY_SIZE, 0) % ADDRESS_BUCKETS];
}

struct address_count *address_find(struct http_server *server, const struct sockaddr *address) {
    uint8_t key[ADDRESS_KEY_SIZE];
    address_key(address, key);
    struct address_count *count = *bucket_of(server, key);
    while (count && memcmp(count->key, key, sizeof(key)) != 0)
        count = count->next;
    return count;
}

struct address_count *address_take(struct http_server *server, const struct sockaddr *address) {
    struct address_count *count = address_find(server, address);
    if (!count) {
        count = calloc(1, sizeof(*count));
        if (!count) return NULL;
        address_key(address, count->key);
        struct address_count **bucket = bucket_of(server, count->key);
        count->next = *bucket;
        *bucket = count;
    }
    count->count++;
    return count;
}

void address_give_back(struct http_server *server, struct address_count *count) {
    if (!count || --count->count > 0) return;
    struct address_count **place = bucket_of(server, count->key);
    while (*place != count)
        place = &(*place)->next;
    *place = count->next;
    free(count);
}
