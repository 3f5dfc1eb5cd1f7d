/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lets pages of other origins evaluate flags (the CORS protocol of the Fetch standard). A key is sent as a header that the page sets, never as something that the browser adds
 * by itself, so no answer allows credentials, and `*` gives nothing to who has no key.
 */
#include "api/ofrep_impl.h"

#include <string.h>

#define SEPARATORS " ,\t\r\n"

/* The next entry of the list; empty at its end. */
static struct slice next_origin(const char **at) {
    const char *begin = *at + strspn(*at, SEPARATORS);
    size_t len = strcspn(begin, SEPARATORS);
    *at = begin + len;
    return (struct slice){begin, len};
}

/* As browsers write it: a scheme, a host and perhaps a port, in small letters. */
static bool is_origin(struct slice origin) {
    const char *host = memmem(origin.ptr, origin.len, "://", 3);
    if (slice_equal(origin, SLICE_LIT("*"))) return true;
    if (!host || host == origin.ptr || host + 3 == origin.ptr + origin.len) return false;
    for (size_t i = 0; i < origin.len; i++) {
        const char *at = origin.ptr + i;
        bool slash = *at == '/' && at != host + 1 && at != host + 2;
        if (*at <= ' ' || *at >= 0x7f || (*at >= 'A' && *at <= 'Z') || slash || strchr("*?#@\"", *at)) return false;
    }
    return true;
}

int ofrep_origins_check(const char *origins, struct err *err) {
    struct slice origin;
    for (const char *at = origins ? origins : ""; (origin = next_origin(&at)).len;) {
        if (is_origin(origin)) continue;
        int r = err_set(err, ERR_CONFIG, "\"%.*s\" is no origin", (int)(origin.len < 80 ? origin.len : 80), origin.ptr);
        err_at(err, "cors_origins");
        err_remedy(err,
                   "Origins look like https://shop.example.com or http://localhost:3000, without a path and in small "
                   "letters, separated by spaces or commas; * stands for all");
        return r;
    }
    return 0;
}

static bool is_allowed(const char *origins, const char *asked) {
    struct slice origin;
    for (const char *at = origins ? origins : ""; (origin = next_origin(&at)).len;)
        if (slice_equal(origin, SLICE_LIT("*")) || slice_equal_text(origin, asked)) return true;
    return false;
}

void ofrep_allow_origin(struct api *api, struct http_request *request, struct http_response *response) {
    const char *origin = http_header(request, "Origin");
    origin =
        origin ? arena_strdup(http_arena(request), origin) : NULL; /* the answer may be sent when the request is gone */
    if (!api->cors_origins || !*api->cors_origins) return;
    http_response_header(response, "Vary", "Origin"); /* a cache must not give one page what was meant for another */
    if (!origin || !is_allowed(api->cors_origins, origin)) return;
    http_response_header(response, "Access-Control-Allow-Origin", origin);
    if (strcmp(http_method(request), "OPTIONS") != 0) {
        http_response_header(response, "Access-Control-Expose-Headers", "ETag, Retry-After, Serin-Position");
        return;
    }
    http_response_header(response, "Access-Control-Allow-Methods", "GET, POST");
    http_response_header(response, "Access-Control-Allow-Headers",
                         "Authorization, Content-Type, If-None-Match, Last-Event-ID, X-API-Key");
    http_response_header(response, "Access-Control-Max-Age", "600");
}

void ofrep_preflight(struct http_request *request, struct http_response *response) {
    response->status = 204;
    http_response_header(response, "Allow", !strcmp(http_path(request), OFREP_STREAM_PATH) ? "GET" : "POST");
}
