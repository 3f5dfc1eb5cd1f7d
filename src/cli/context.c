/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: --context '{…}', over it --attr NAME=VALUE, and over all --user KEY. */
#include "cli/cli_impl.h"

#include <string.h>

static int parse_context(const char *text, json_t **ret, struct err *err) {
    int r = json_parse(text, strlen(text), JSON_DEPTH_MAX, ret, err);
    if (r == 0 && !json_is_object(*ret))
        r = err_set(err, ERR_USAGE, "a context is an object, as {\"targetingKey\": \"u1\", \"plan\": \"pro\"}");
    if (r < 0) err_at(err, "--context");
    return r;
}

static int add_attributes(const struct args *args, json_t *context, struct err *err) {
    size_t index = 0;
    for (const char *pair; (pair = args_next(args, "attr", &index));) {
        size_t len = strcspn(pair, "=");
        if (json_object_setn_new(context, pair, len, json_string(pair + len + 1)) < 0) return err_no_memory(err);
    }
    return 0;
}

int context_of_args(const struct args *args, json_t **ret, struct err *err) {
    const char *text = args_get(args, "context"), *user = args_get(args, "user");
    _cleanup_(json_decrefp) json_t *context = NULL;
    int r = parse_context(text ? text : "{}", &context, err);
    if (r == 0) r = add_attributes(args, context, err);
    if (r < 0) return r;
    if (user && json_object_set_new(context, "targetingKey", json_string(user)) < 0) return err_no_memory(err);
    *ret = json_incref(context);
    return 0;
}
