/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event streams for OpenFeature's clients. A browser's EventSource sends no header, so what opens a stream stands in its address, where logs and histories see it: a token that
 * is good for nothing else, for one environment, and for less than an hour.
 *
 * A token is `<key's id>.<environment>.<until, unix seconds>.<HMAC-SHA256 of that, hex>`. Its secret is made when the process starts and kept nowhere, so a restart makes
 * all of them void; the tag of a list changes with its token, so nobody keeps a void one for having nothing new. A key that is revoked opens nothing any more.
 */
#include "api/ofrep_impl.h"

#include <inttypes.h>
#include <string.h>

#define STEP (OFREP_TOKEN_LIFE / 2)
#define MAC_TEXT_SIZE (2 * SHA256_SIZE + 1)

static int sign(const struct api *api, struct slice text, char ret[MAC_TEXT_SIZE]) {
    struct sha256 mac;
    struct slice secret = {(const char *)api->stream_secret, sizeof(api->stream_secret)};
    int r = hmac_sha256(secret, text, &mac);
    if (r == 0) hex_encode(mac.bytes, SHA256_SIZE, ret);
    return r;
}

static int64_t seconds_now(const struct api *api) {
    return clock_wall(api->options.ops->clock) / 1000000;
}

int64_t ofrep_token_until(const struct ofrep *ofrep) {
    return (seconds_now(ofrep->api) / STEP + 2) * STEP;
}

const char *ofrep_token(const struct ofrep *ofrep, int64_t until) {
    char mac[MAC_TEXT_SIZE];
    const char *claim = arena_printf(http_arena(ofrep->request), "%s.%.*s.%" PRId64, ofrep->principal.id,
                                     (int)ofrep->environment.len, ofrep->environment.ptr, until);
    if (!claim || sign(ofrep->api, slice_of(claim), mac) < 0) return NULL;
    return arena_printf(http_arena(ofrep->request), "%s.%s", claim, mac);
}

/* Cuts off what follows the last dot; NULL: there is none. */
static const char *cut_last(char *text) {
    char *dot = strrchr(text, '.');
    if (!dot) return NULL;
    *dot = '\0';
    return dot + 1;
}

/* Nothing of the token is read before its signature was found right. */
static bool read_token(struct ofrep *ofrep, char *token) {
    char wanted[MAC_TEXT_SIZE];
    int64_t until;
    const char *mac = cut_last(token);
    if (!mac || strlen(mac) != MAC_TEXT_SIZE - 1) return false;
    if (sign(ofrep->api, slice_of(token), wanted) < 0 || !secret_equal(mac, wanted, MAC_TEXT_SIZE - 1)) return false;
    const char *time = cut_last(token), *environment = time ? cut_last(token) : NULL;
    if (!environment || !text_to_int(time, 0, INT64_MAX, &until) || until <= seconds_now(ofrep->api)) return false;
    const struct snapshot_key *key = snapshot_key_by_id(ofrep->snapshot, slice_of(token));
    if (!key) return false;
    ofrep->principal = principal_of(key);
    ofrep->environment = slice_of(environment);
    return principal_sees(&ofrep->principal, ofrep->environment) &&
           snapshot_has_environment(ofrep->snapshot, ofrep->environment);
}

static int check_token(struct ofrep *ofrep, struct err *err) {
    const char *given = http_query(ofrep->request, "token");
    char *token = given ? arena_strdup(http_arena(ofrep->request), given) : NULL;
    if (given && !token) return err_no_memory(err);
    if (token && read_token(ofrep, token)) return 0;
    atomic_fetch_add_explicit(&ofrep->api->refused_keys, 1, memory_order_relaxed);
    int r =
        err_set(err, ERR_UNAUTHENTICATED, token ? "the token is wrong or does not hold any more" : "a token is needed");
    err_at(err, "token");
    err_remedy(err, "Ask for all flags again: `eventStreams` has the address with a new token");
    return r;
}

/* What was heard last, or what the list showed that told of this stream. Whoever resumes from what is no position has missed something, and is told so. */
static struct position resume_position(struct http_request *request, bool *ret_given) {
    struct position position;
    const char *text = http_header(request, "Last-Event-ID");
    if (!text) text = http_query(request, "after");
    *ret_given = text != NULL;
    return text && position_from_text(text, &position) ? position : (struct position){0};
}

int ofrep_open_stream(struct ofrep *ofrep, struct http_response *response, struct err *err) {
    bool given;
    int r = check_token(ofrep, err);
    if (r == 0) r = request_quota(ofrep->api, &ofrep->principal, err);
    if (r < 0) return r;
    struct position after = resume_position(ofrep->request, &given);
    response->status = 200;
    response->content_type = "text/event-stream";
    http_response_header(response, "Cache-Control", "no-store");
    const struct hub_reader reader = {
        .environment = ofrep->environment,
        .key = slice_of(ofrep->principal.name),
        .key_id = slice_of(ofrep->principal.id),
        .after = given ? &after : NULL,
        .form = HUB_NOTICES,
    };
    return hub_open(ofrep->api->hub, &reader, &response->stream, err);
}
