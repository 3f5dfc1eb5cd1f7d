/* SPDX-License-Identifier: Apache-2.0 */
/* The context of an evaluation: what is plain is read in place, as for resolving; the rest is parsed, and whoever is wrong is told where. */
#include "api/ofrep_impl.h"
#include "base/siphash.h"
#include "model/names.h"

#include <string.h>

static int refuse(struct err *err, const char *at, const char *what) {
    int r = err_set(err, ERR_BAD_REQUEST, "%s %s", at, what);
    err_at(err, "%s", at);
    return r;
}

/* No setting changes it, unlike the server's own bound on bodies. */
static int refuse_size(size_t size, struct err *err) {
    int r = err_set(err, ERR_TOO_LARGE, "the body has %zu bytes; an evaluation takes at most %d", size, OFREP_BODY_MAX);
    err_remedy(err, "Send fewer attributes: what the rules read is enough");
    return r;
}

static int take_context(struct ofrep *ofrep, const json_t *context, struct err *err) {
    const json_t *key = json_get(context, "targetingKey"), *session = json_get(context, "session");
    if (context && !json_is_object(context)) return refuse(err, "/context", "must be an object");
    if (key && !json_is_string(key) && !json_is_null(key)) return refuse(err, "/context/targetingKey", "must be text");
    ofrep->asked = (struct asked){
        .key = slice_of(json_string_value(key)),
        .session_started_at = slice_of(json_get_text(session, "started_at")),
    };
    if (!context) return 0;
    int r = logic_from_json(context, http_arena(ofrep->request), &ofrep->asked.attributes.data);
    return r < 0 ? err_no_memory(err) : 0;
}

static int parse_body(struct ofrep *ofrep, struct slice body, struct err *err) {
    int r = json_parse(body.ptr, body.len, REQUEST_DEPTH_MAX, &ofrep->body, err);
    if (r < 0) return r;
    if (!json_is_object(ofrep->body)) return refuse(err, "The body", "must be an object: {\"context\": {…}}");
    return take_context(ofrep, json_get(ofrep->body, "context"), err);
}

int ofrep_read_context(struct ofrep *ofrep, struct context_room *room, struct err *err) {
    struct slice body = http_body(ofrep->request);
    if (body.len > OFREP_BODY_MAX) return refuse_size(body.len, err);
    int r = body.len ? request_media(ofrep->request, err) : 0;
    if (r == 0 && body.len && !evaluation_read(body, room, &ofrep->asked)) r = parse_body(ofrep, body, err);
    if (r < 0) return r;
    if (ofrep->asked.key.len > TARGETING_KEY_MAX)
        return refuse(err, "/context/targetingKey", "is longer than a targeting key may be");
    struct logic_value *data = &ofrep->asked.attributes.data;
    if (data->type != LOGIC_OBJECT) *data = (struct logic_value){.type = LOGIC_OBJECT};
    return 0;
}

/* ---- its hash ---- */

/* Each value as its type, its length and its bytes, so that no two contexts are hashed alike. Of an object the hashes of its members are added up: they may stand in any
 * order. */
static void add_value(const uint64_t key[2], const struct logic_value *value, struct siphash *hash);

static void add_head(struct siphash *hash, uint8_t type, uint64_t count) {
    siphash_word(hash, (uint64_t)type << 56 | count);
}

static void add_text(struct siphash *hash, struct slice text) {
    add_head(hash, LOGIC_TEXT, text.len);
    siphash_bytes(hash, text);
}

static uint64_t sum_of_members(const uint64_t key[2], const struct logic_value *object) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < object->count; i++) {
        struct siphash hash = siphash_begin(key);
        add_text(&hash, object->members[i].name);
        add_value(key, &object->members[i].value, &hash);
        sum += siphash_end(hash);
    }
    return sum;
}

static void add_value(const uint64_t key[2], const struct logic_value *value, struct siphash *hash) {
    uint64_t number;
    switch ((enum logic_type)value->type) {
    case LOGIC_NULL:
        add_head(hash, value->type, 0);
        break;
    case LOGIC_BOOL:
        add_head(hash, value->type, value->truth);
        break;
    case LOGIC_NUMBER:
        memcpy(&number, &value->number, sizeof(number));
        add_head(hash, value->type, 0);
        siphash_word(hash, number);
        break;
    case LOGIC_TEXT:
        add_text(hash, logic_slice(value));
        break;
    case LOGIC_LIST:
        add_head(hash, value->type, value->count);
        for (uint32_t i = 0; i < value->count; i++)
            add_value(key, &value->items[i], hash);
        break;
    case LOGIC_OBJECT:
        add_head(hash, value->type, value->count);
        siphash_word(hash, sum_of_members(key, value));
    }
}

uint64_t ofrep_hash(const struct ofrep *ofrep, const int64_t *numbers, size_t count) {
    const uint64_t *key = ofrep->api->tag_key;
    struct siphash hash = siphash_begin(key);
    for (size_t i = 0; i < count; i++)
        siphash_word(&hash, (uint64_t)numbers[i]);
    add_text(&hash, slice_of(ofrep->principal.id));
    add_text(&hash, ofrep->environment);
    add_value(key, &ofrep->asked.attributes.data, &hash);
    return siphash_end(hash);
}
