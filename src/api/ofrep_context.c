/* SPDX-License-Identifier: Apache-2.0 */
/* The context of an evaluation: what is plain is read in place, as for resolving; the rest is parsed, and whoever is wrong is told where. */
#include "api/ofrep_impl.h"
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

/* Each value as its type, its length and its bytes, so that no two contexts are written alike; members in order of name. */
static void put_value(struct arena *arena, const struct logic_value *value, struct str *out);

static void put_head(struct str *out, uint8_t type, uint32_t count) {
    str_add(out, &type, sizeof(type));
    str_add(out, &count, sizeof(count));
}

static int by_name(const void *a, const void *b) {
    struct slice x = (*(const struct logic_member *const *)a)->name, y = (*(const struct logic_member *const *)b)->name;
    int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

static void put_members(struct arena *arena, const struct logic_value *object, struct str *out) {
    if (!object->count) return;
    const struct logic_member **sorted = arena_array(arena, object->count, sizeof(struct logic_member *));
    out->failed |= !sorted;
    for (uint32_t i = 0; i < object->count && sorted; i++)
        sorted[i] = &object->members[i];
    if (sorted) qsort(sorted, object->count, sizeof(struct logic_member *), by_name);
    for (uint32_t i = 0; i < object->count && sorted; i++) {
        put_head(out, LOGIC_TEXT, (uint32_t)sorted[i]->name.len);
        str_add_slice(out, sorted[i]->name);
        put_value(arena, &sorted[i]->value, out);
    }
}

static void put_value(struct arena *arena, const struct logic_value *value, struct str *out) {
    switch ((enum logic_type)value->type) {
    case LOGIC_NULL:
        put_head(out, value->type, 0);
        break;
    case LOGIC_BOOL:
        put_head(out, value->type, value->truth);
        break;
    case LOGIC_NUMBER:
        put_head(out, value->type, 0);
        str_add(out, &value->number, sizeof(value->number));
        break;
    case LOGIC_TEXT:
        put_head(out, value->type, value->count);
        str_add(out, value->text, value->count);
        break;
    case LOGIC_LIST:
        put_head(out, value->type, value->count);
        for (uint32_t i = 0; i < value->count; i++)
            put_value(arena, &value->items[i], out);
        break;
    case LOGIC_OBJECT:
        put_head(out, value->type, value->count);
        put_members(arena, value, out);
    }
}

int ofrep_hash(const struct ofrep *ofrep, const struct slice *more, size_t count, struct sha256 *ret, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    str_add_text(&text, SERIN_VERSION);
    for (size_t i = 0; i < count; i++) {
        put_head(&text, LOGIC_TEXT, (uint32_t)more[i].len);
        str_add_slice(&text, more[i]);
    }
    put_value(http_arena(ofrep->request), &ofrep->asked.attributes.data, &text);
    if (text.failed) return err_no_memory(err);
    return sha256_bytes(text.data, text.len, ret) < 0 ? err_no_memory(err) : 0;
}
