/* SPDX-License-Identifier: Apache-2.0 */
#include "model/webhook.h"

#include "base/hash.h"

#include <stdio.h>
#include <string.h>

#define SECRET_PREFIX "whsec_"
#define SECRET_PREFIX_LEN (sizeof(SECRET_PREFIX) - 1)

static const char *const types[] = {
#define OPEN_EVENT(id, type, action) [EVENT_##id] = type,
#define END_EVENT(id, type, state) [EVENT_##id] = type,
#include "model/events.def"
#undef OPEN_EVENT
#undef END_EVENT
};

const char *rollout_event_type(enum rollout_event event) {
    return types[event];
}

bool rollout_event_from_type(const char *type, enum rollout_event *ret) {
    for (int event = 0; event < EVENT_COUNT_; event++)
        if (!strcmp(types[event], type)) {
            *ret = (enum rollout_event)event;
            return true;
        }
    return false;
}

bool rollout_event_of(const struct rollout_move *move, enum rollout_event *ret) {
    bool open = rollout_is_open(move->state);
#define OPEN_EVENT(id, type, name)                                                                                     \
    if (open && !strcmp(move->action, name)) {                                                                         \
        *ret = EVENT_##id;                                                                                             \
        return true;                                                                                                   \
    }
#define END_EVENT(id, type, name)                                                                                      \
    if (move->state == ROLLOUT_##name) {                                                                               \
        *ret = EVENT_##id;                                                                                             \
        return true;                                                                                                   \
    }
#include "model/events.def"
#undef OPEN_EVENT
#undef END_EVENT
    return false;
}

/* ---- sets ---- */

void events_write(uint32_t events, char ret[EVENTS_TEXT_SIZE]) {
    if (events == EVENTS_ALL) {
        memcpy(ret, "[\"*\"]", sizeof("[\"*\"]"));
        return;
    }
    size_t len = 0;
    for (int event = 0; event < EVENT_COUNT_; event++)
        if (events >> event & 1)
            len += (size_t)snprintf(ret + len, EVENTS_TEXT_SIZE - len, "%s\"%s\"", len ? "," : "[", types[event]);
    snprintf(ret + len, EVENTS_TEXT_SIZE - len, "%s]", len ? "" : "[");
}

static int wrong_type(const char *at, size_t i, struct err *err, const char *what) {
    char known[EVENTS_TEXT_SIZE];
    events_write(EVENTS_ALL - 1, known);
    int r = err_set(err, ERR_INVALID, "%s", what);
    err_at(err, "%s/%zu", at, i);
    err_remedy(err, "There are \"*\" (all), \"%s\", %.*s", types[0], (int)strlen(known) - 2, known + 1);
    return r;
}

static bool events_of(const char *type, uint32_t *ret) {
    enum rollout_event event;
    *ret = EVENTS_ALL;
    if (!strcmp(type, "*")) return true;
    if (!rollout_event_from_type(type, &event)) return false;
    *ret = UINT32_C(1) << event;
    return true;
}

int events_read(const json_t *list, const char *at, uint32_t *ret, struct err *err) {
    uint32_t events = 0, more;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        if (!json_is_string(item)) return wrong_type(at, i, err, "an event is a text");
        if (!events_of(json_string_value(item), &more)) return wrong_type(at, i, err, "there is no such event");
        if (events & more) return wrong_type(at, i, err, "this event stands in the list already");
        events |= more;
    }
    *ret = events;
    return 0;
}

/* ---- signing ---- */

int webhook_secret_new(char ret[WEBHOOK_SECRET_SIZE], struct err *err) {
    uint8_t random[WEBHOOK_SECRET_BYTES];
    int r = random_bytes(random, sizeof(random), err);
    if (r < 0) return r;
    memcpy(ret, SECRET_PREFIX, SECRET_PREFIX_LEN);
    base64_encode(random, sizeof(random), ret + SECRET_PREFIX_LEN);
    secret_clear(random, sizeof(random));
    return 0;
}

static bool secret_bytes(const char *secret, uint8_t ret[WEBHOOK_SECRET_SIZE], size_t *ret_len) {
    size_t len = strlen(secret);
    if (len <= SECRET_PREFIX_LEN || len >= WEBHOOK_SECRET_SIZE || memcmp(secret, SECRET_PREFIX, SECRET_PREFIX_LEN) != 0)
        return false;
    return base64_decode(secret + SECRET_PREFIX_LEN, len - SECRET_PREFIX_LEN, ret, ret_len);
}

int webhook_sign(const char *secret, const char *id, int64_t timestamp, struct slice body,
                 char ret[WEBHOOK_SIGNATURE_SIZE], struct err *err) {
    _cleanup_(str_deinit) struct str message = STR_INIT;
    uint8_t key[WEBHOOK_SECRET_SIZE];
    size_t key_len = 0;
    struct sha256 sum;
    if (!secret_bytes(secret, key, &key_len))
        return err_set(err, ERR_STORE_CORRUPT, "a webhook's secret has another form");
    str_printf(&message, "%s.%lld.", id, (long long)timestamp);
    str_add_slice(&message, body);
    int r = message.failed ? -ERR_NO_MEMORY
                           : hmac_sha256((struct slice){(const char *)key, key_len}, str_slice(&message), &sum);
    secret_clear(key, sizeof(key));
    if (r < 0) return err_no_memory(err);
    memcpy(ret, "v1,", 3);
    base64_encode(sum.bytes, sizeof(sum.bytes), ret + 3);
    return 0;
}
