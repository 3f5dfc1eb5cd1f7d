/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one check of parameters, for every way in. Path and query arguments are text and are read by their type; members of
 * a body must have the JSON type. Whatever passes here needs no second look for its form.
 */
#include "base/uuid.h"
#include "flags/flags.h"
#include "model/names.h"
#include "model/show.h"
#include "model/webhook.h"
#include "ops/ops.h"

#include <stdio.h>
#include <string.h>

static int wrong(const struct op_param *param, struct err *err, const char *found) {
    char shown[SHOW_SIZE];
    int r = err_set(err, ERR_BAD_REQUEST, "`%s` must be %s%s%s", param->name, param_type_name(param->type),
                    found ? ", not " : "", found ? show_text(found, shown) : "");
    err_at(err, param->where == PARAM_BODY ? "/%s" : "%s", param->name);
    return r;
}

static int check_length(const struct op_param *param, const char *text, size_t max, struct err *err) {
    if (strlen(text) <= max) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "`%s` is %zu bytes long; at most %zu are allowed", param->name, strlen(text),
                    max);
    err_at(err, param->where == PARAM_BODY ? "/%s" : "%s", param->name);
    return r;
}

static int check_moment(const struct op_param *param, const char *text, struct err *err) {
    struct position position;
    int64_t at;
    if (position_from_text(text, &position)) return 0;
    if (param->type == PARAM_MOMENT && clock_from_text(text, &at)) return 0;
    return wrong(param, err, text);
}

static bool is_label(const char *text) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f) return false;
    return len >= 1 && len <= OPS_LABEL_MAX;
}

/* The types that are written as text everywhere. */
static int check_text(const struct op_param *param, const char *text, struct err *err) {
    char at[64];
    snprintf(at, sizeof(at), param->where == PARAM_BODY ? "/%s" : "%s", param->name);
    struct version_ref ref;
    enum role role;
    switch (param->type) {
    case PARAM_TEXT:
        return check_length(param, text, OPS_TEXT_MAX, err);
    case PARAM_REASON:
        return check_length(param, text, REASON_MAX, err);
    case PARAM_NAME:
    case PARAM_NAMES:
        return name_check(param->name, text, at, err);
    case PARAM_FLAG:
        return flag_key_valid(slice_of(text)) ? 0 : wrong(param, err, text);
    case PARAM_VERSION: {
        int r = version_ref_parse(text, &ref, err);
        if (r < 0) err_at(err, "%s", at);
        return r;
    }
    case PARAM_MOMENT:
    case PARAM_POSITION:
        return check_moment(param, text, err);
    case PARAM_ROLE:
        return role_from_text(text, &role) ? 0 : wrong(param, err, text);
    case PARAM_BYTES:
        return check_length(param, text, OPS_BYTES_MAX / 3 * 4, err);
    case PARAM_UUID:
        return uuid_valid(text) ? 0 : wrong(param, err, text);
    case PARAM_LABEL:
        return is_label(text) ? 0 : wrong(param, err, text);
    default:
        return wrong(param, err, NULL);
    }
}

static bool number_in_range(enum param_type type, int64_t value) {
    if (type == PARAM_LIMIT) return value >= 1 && value <= OPS_LIMIT_MAX;
    return value >= 0 && value <= OPS_NUMBER_MAX;
}

static int number_from_text(const struct op_param *param, const char *text, json_t **ret, struct err *err) {
    int64_t value;
    if (!text_to_int(text, 0, INT64_MAX, &value) || !number_in_range(param->type, value))
        return wrong(param, err, text);
    *ret = json_integer(value);
    return *ret ? 0 : err_no_memory(err);
}

static int bool_from_text(const struct op_param *param, const char *text, json_t **ret, struct err *err) {
    bool yes = !strcmp(text, "true") || !strcmp(text, "1");
    if (!yes && strcmp(text, "false") && strcmp(text, "0")) return wrong(param, err, text);
    *ret = json_boolean(yes);
    return 0;
}

int ops_param_from_text(const struct op_param *param, const char *text, json_t **ret, struct err *err) {
    if (param->type == PARAM_NUMBER || param->type == PARAM_LIMIT) return number_from_text(param, text, ret, err);
    if (param->type == PARAM_BOOL) return bool_from_text(param, text, ret, err);
    int r = check_text(param, text, err);
    if (r < 0) return r;
    *ret = json_string(text);
    return *ret ? 0 : err_no_memory(err);
}

static int list_length(const struct op_param *param, const json_t *list, size_t max, struct err *err) {
    size_t count = json_array_size(list);
    if (count >= 1 && count <= max) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "`%s` must have 1 to %zu items, not %zu", param->name, max, count);
    err_at(err, "/%s", param->name);
    return r;
}

static int check_keys(const struct op_param *param, const json_t *list, struct err *err) {
    if (!json_is_array(list)) return wrong(param, err, NULL);
    int r = list_length(param, list, OPS_KEYS_MAX, err);
    if (r < 0) return r;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        size_t len = json_string_length(item);
        if (json_is_string(item) && len >= 1 && len <= TARGETING_KEY_MAX) continue;
        r = err_set(err, ERR_BAD_REQUEST, "a targeting key must be text of 1 to %d bytes", TARGETING_KEY_MAX);
        err_at(err, "/%s/%zu", param->name, i);
        return r;
    }
    return 0;
}

static int check_names(const struct op_param *param, const json_t *value, struct err *err) {
    if (json_is_string(value)) return check_text(param, json_string_value(value), err);
    if (!json_is_array(value)) return wrong(param, err, NULL);
    int r = list_length(param, value, OPS_KEYS_MAX, err);
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (r < 0) return r;
        if (!json_is_string(item)) return wrong(param, err, NULL);
        r = check_text(param, json_string_value(item), err);
        if (r < 0) err_at(err, "/%s/%zu", param->name, i);
    }
    return r;
}

static bool is_version(const json_t *value) {
    struct version_ref ref;
    if (json_is_integer(value)) return json_integer_value(value) >= 1;
    return json_is_string(value) && version_ref_parse(json_string_value(value), &ref, NULL) == 0;
}

static int wrong_move(const struct op_param *param, size_t i, const char *member, const char *what, struct err *err) {
    int r = err_set(err, ERR_BAD_REQUEST, "a move %s", what);
    err_at(err, "/%s/%zu%s%s", param->name, i, *member ? "/" : "", member);
    return r;
}

static int check_move(const struct op_param *param, size_t i, const json_t *move, struct err *err) {
    if (!json_is_object(move)) return wrong_move(param, i, "", "must be an object {agent, version, expected?}", err);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)move, key, value) {
        if (strcmp(key, "agent") && strcmp(key, "version") && strcmp(key, "expected"))
            return wrong_move(param, i, key, "has the members agent, version and expected only", err);
    }
    const char *agent = json_get_text(move, "agent");
    if (!agent || !name_valid(slice_of(agent))) return wrong_move(param, i, "agent", "needs the name of an agent", err);
    if (!is_version(json_get(move, "version"))) return wrong_move(param, i, "version", "needs a version", err);
    const json_t *expected = json_get(move, "expected");
    if (expected && (!json_is_integer(expected) || !number_in_range(PARAM_NUMBER, json_integer_value(expected))))
        return wrong_move(param, i, "expected", "may expect a whole number only", err);
    return 0;
}

static int check_moves(const struct op_param *param, const json_t *list, struct err *err) {
    if (!json_is_array(list)) return wrong(param, err, NULL);
    int r = list_length(param, list, OPS_MOVES_MAX, err);
    if (r < 0) return r;
    size_t i;
    json_t *move;
    json_array_foreach(list, i, move) {
        r = check_move(param, i, move, err);
        if (r < 0) return r;
        for (size_t j = 0; j < i; j++)
            if (!strcmp(json_get_text(json_array_get(list, j), "agent"), json_get_text(move, "agent")))
                return wrong_move(param, i, "agent", "for this agent stands in the list already", err);
    }
    return 0;
}

static int check_events(const struct op_param *param, const json_t *list, struct err *err) {
    char at[64];
    uint32_t events;
    if (!json_is_array(list)) return wrong(param, err, NULL);
    int r = list_length(param, list, EVENT_COUNT_, err);
    snprintf(at, sizeof(at), "/%s", param->name);
    return r < 0 ? r : events_read(list, at, &events, err);
}

static int check_value(const struct op_param *param, const json_t *value, struct err *err) {
    switch (param->type) {
    case PARAM_NUMBER:
    case PARAM_LIMIT:
        if (!json_is_integer(value) || !number_in_range(param->type, json_integer_value(value)))
            return wrong(param, err, NULL);
        return 0;
    case PARAM_BOOL:
        return json_is_boolean(value) ? 0 : wrong(param, err, NULL);
    case PARAM_OBJECT:
        return json_is_object(value) ? 0 : wrong(param, err, NULL);
    case PARAM_VERSION:
        if (is_version(value)) return 0;
        break;
    case PARAM_KEYS:
        return check_keys(param, value, err);
    case PARAM_NAMES:
        return check_names(param, value, err);
    case PARAM_MOVES:
        return check_moves(param, value, err);
    case PARAM_EVENTS:
        return check_events(param, value, err);
    case PARAM_LIST:
        return json_is_array(value) ? 0 : wrong(param, err, NULL);
    default:
        break;
    }
    if (!json_is_string(value)) return wrong(param, err, NULL);
    return check_text(param, json_string_value(value), err);
}

int ops_params_from_body(const struct op *op, const json_t *body, json_t *params, struct err *err) {
    if (!json_is_object(body)) return err_set(err, ERR_BAD_REQUEST, "the body must be a JSON object");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)body, name, value) {
        const struct op_param *param = op_param(op, name);
        if (!param || param->where != PARAM_BODY) return ops_param_unknown(op, PARAM_BODY, name, err);
        if (json_is_null(value) && !param->required) continue;
        int r = check_value(param, value, err);
        if (r < 0) return r;
        if (json_object_set(params, name, value) < 0) return err_no_memory(err);
    }
    return 0;
}

int ops_param_unknown(const struct op *op, enum param_where where, const char *name, struct err *err) {
    char shown[SHOW_SIZE];
    int r = err_set(err, ERR_UNKNOWN_FIELD, "%s takes no %s \"%s\"", op->name,
                    where == PARAM_BODY ? "field" : "query argument", show_text(name, shown));
    err_at(err, where == PARAM_BODY ? "/%s" : "%s", show_text(name, shown));

    _cleanup_(str_deinit) struct str known = STR_INIT;
    size_t count;
    const struct op_param *params = op_params(op, &count);
    for (size_t i = 0; i < count; i++)
        if (params[i].where == where) str_printf(&known, "%s%s", known.len ? ", " : "", params[i].name);
    if (known.len) err_remedy(err, "It takes %s", known.data);
    return r;
}

int ops_params_complete(const struct op *op, const json_t *params, struct err *err) {
    size_t count;
    const struct op_param *list = op_params(op, &count);
    for (size_t i = 0; i < count; i++) {
        if (!list[i].required || json_get(params, list[i].name)) continue;
        int r = err_set(err, ERR_MISSING_FIELD, "%s needs `%s`: %s", op->name, list[i].name, list[i].doc);
        err_at(err, list[i].where == PARAM_BODY ? "/%s" : "%s", list[i].name);
        return r;
    }
    return 0;
}
