/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the server may go. libcurl takes addresses apart, here and for the request itself, so what is compared is what is connected to: two parsers
 * that read one address differently are how such lists are usually got around.
 */
#include "fetch/fetch_impl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <strings.h>

#define SEPARATORS " ,\t\n\r"

/* ---- addresses ---- */

static void free_part(char **part) {
    curl_free(*part);
}

static bool has_part(CURLU *url, CURLUPart part) {
    _cleanup_(free_part) char *text = NULL;
    return curl_url_get(url, part, &text, 0) == CURLUE_OK && text && *text;
}

static void lower(char *text) {
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z') *text = (char)(*text + ('a' - 'A'));
}

static bool is_literal(const char *host) {
    struct in_addr v4;
    return *host == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

static int read_origin(CURLU *url, struct origin *ret, struct err *err) {
    _cleanup_(free_part) char *scheme = NULL;
    _cleanup_(free_part) char *host = NULL;
    _cleanup_(free_part) char *port = NULL;
    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(url, CURLUPART_HOST, &host, 0))
        return err_set(err, ERR_INVALID, "the address has no host");
    if (strcasecmp(scheme, "http") && strcasecmp(scheme, "https"))
        return err_set(err, ERR_INVALID, "the address must begin with https:// or http://");
    if (curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        return err_set(err, ERR_INVALID, "the address has no port");
    int len = snprintf(ret->text, sizeof(ret->text), "%s://%s:%s", scheme, host, port);
    if (len < 0 || (size_t)len >= sizeof(ret->text)) return err_set(err, ERR_INVALID, "the address's host is too long");
    lower(ret->text);
    ret->literal = is_literal(host);
    return 0;
}

/* The reason is a text of libcurl's own; the address, which may hold a secret, is not repeated. */
static int refuse_url(CURLUcode code, struct err *err) {
    if (code == CURLUE_OUT_OF_MEMORY) return err_no_memory(err);
    if (code == CURLUE_USER_NOT_ALLOWED)
        return err_set(err, ERR_INVALID, "the address must not have a user name or password in it");
    return err_set(err, ERR_INVALID, "the address is not a valid URL: %s", curl_url_strerror(code));
}

int url_parse(const char *text, bool strict, CURLU **ret, struct origin *ret_origin, struct err *err) {
    CURLU *url = curl_url();
    if (!url) return err_no_memory(err);
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, strict ? CURLU_DISALLOW_USER : 0);
    int r = code ? refuse_url(code, err) : read_origin(url, ret_origin, err);
    if (r == 0 && strict && has_part(url, CURLUPART_ZONEID))
        r = err_set(err, ERR_INVALID, "the address must not name a network interface");
    if (r == 0)
        *ret = url;
    else
        curl_url_cleanup(url);
    return r;
}

/* ---- the list ---- */

struct fetch_allow {
    pthread_mutex_t lock;
    struct origin *origins;
    size_t count;
};

static int read_entry(const char *text, struct origin *ret, struct err *err) {
    static const CURLUPart forbidden[] = {CURLUPART_QUERY, CURLUPART_FRAGMENT};
    _cleanup_(free_part) char *path = NULL;
    CURLU *url = NULL;
    int r = url_parse(text, true, &url, ret, err);
    if (r < 0) return r;
    if (curl_url_get(url, CURLUPART_PATH, &path, 0) || strcmp(path, "/"))
        r = err_set(err, ERR_INVALID, "an origin has no path");
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(forbidden); i++)
        if (has_part(url, forbidden[i])) r = err_set(err, ERR_INVALID, "an origin has no query");
    curl_url_cleanup(url);
    return r;
}

static int refuse_entry(size_t number, int r, struct err *err) {
    if (r == -ERR_NO_MEMORY) return r;
    char reason[sizeof(err->message)] = "";
    if (err) memcpy(reason, err->message, sizeof(reason));
    r = err_set(err, ERR_CONFIG, "origin %zu of the list: %.200s", number, reason);
    err_remedy(err, "Origins look like https://prometheus.internal:9090, separated by spaces or commas");
    return r;
}

static int read_list(const char *text, struct origin **ret, size_t *ret_count, struct err *err) {
    _cleanup_(freep) char *copy = strdup(text);
    _cleanup_(freep) struct origin *origins = NULL;
    size_t count = 0, capacity = 0;
    char *rest = NULL;
    if (!copy) return err_no_memory(err);
    for (char *entry = strtok_r(copy, SEPARATORS, &rest); entry; entry = strtok_r(NULL, SEPARATORS, &rest)) {
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            struct origin *more = reallocarray(origins, capacity, sizeof(*more));
            if (!more) return err_no_memory(err);
            origins = more;
        }
        int r = read_entry(entry, &origins[count++], err);
        if (r < 0) return refuse_entry(count, r, err);
    }
    *ret = TAKE_PTR(origins);
    *ret_count = count;
    return 0;
}

int fetch_allow_new(const char *origins, struct fetch_allow **ret, struct err *err) {
    struct fetch_allow *allow = calloc(1, sizeof(*allow));
    if (!allow) return err_no_memory(err);
    pthread_mutex_init(&allow->lock, NULL);
    int r = fetch_allow_set(allow, origins, err);
    if (r == 0)
        *ret = allow;
    else
        fetch_allow_free(allow);
    return r;
}

int fetch_allow_set(struct fetch_allow *allow, const char *origins, struct err *err) {
    struct origin *list = NULL;
    size_t count = 0;
    int r = read_list(origins, &list, &count, err);
    if (r < 0) return r;
    pthread_mutex_lock(&allow->lock);
    struct origin *old = allow->origins;
    allow->origins = list;
    allow->count = count;
    pthread_mutex_unlock(&allow->lock);
    free(old);
    return 0;
}

static bool lists(struct fetch_allow *allow, const struct origin *origin) {
    bool found = false;
    pthread_mutex_lock(&allow->lock);
    for (size_t i = 0; i < allow->count && !found; i++)
        found = !strcmp(allow->origins[i].text, origin->text);
    pthread_mutex_unlock(&allow->lock);
    return found;
}

int allow_origin(struct fetch_allow *allow, const struct origin *origin, struct err *err) {
    if (allow && lists(allow, origin)) return 0;
    int r = err_set(err, ERR_NOT_ALLOWED, "the server may not send requests to %s", origin->text);
    err_remedy(err, "Add it to the server's setting outgoing_allow: %s", origin->text);
    return r;
}

int fetch_allow_check(struct fetch_allow *allow, const char *url, struct err *err) {
    struct origin origin;
    CURLU *parsed = NULL;
    int r = url_parse(url, true, &parsed, &origin, err);
    if (r < 0) return r;
    curl_url_cleanup(parsed);
    return allow_origin(allow, &origin, err);
}

struct fetch_allow *fetch_allow_free(struct fetch_allow *allow) {
    if (!allow) return NULL;
    pthread_mutex_destroy(&allow->lock);
    free(allow->origins);
    free(allow);
    return NULL;
}

/* ---- what a name may lead to ---- */

static const char *v4_fault(uint32_t address) {
    if (address >> 24 == 0) return "an unspecified address";
    if (address >> 16 == 0xa9fe) return "a link-local address";
    if (address >> 28 == 0xe) return "a multicast address";
    return address == UINT32_MAX ? "the broadcast address" : NULL;
}

static uint32_t v4_inside(const struct in6_addr *address) {
    uint32_t v4;
    memcpy(&v4, address->s6_addr + 12, sizeof(v4));
    return ntohl(v4);
}

/* An IPv4 address in the clothes of IPv6, mapped or for a translator (RFC 6052), is judged as what it is. */
static const char *v6_fault(const struct in6_addr *address) {
    static const uint8_t translator[12] = {0x00, 0x64, 0xff, 0x9b};
    if (IN6_IS_ADDR_UNSPECIFIED(address)) return "an unspecified address";
    if (IN6_IS_ADDR_LINKLOCAL(address)) return "a link-local address";
    if (IN6_IS_ADDR_MULTICAST(address)) return "a multicast address";
    if (IN6_IS_ADDR_V4MAPPED(address) || !memcmp(address->s6_addr, translator, sizeof(translator)))
        return v4_fault(v4_inside(address));
    return NULL;
}

const char *address_fault(const struct sockaddr *address) {
    if (address->sa_family == AF_INET)
        return v4_fault(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return v6_fault(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    return "an address of no known family";
}
