/* SPDX-License-Identifier: Apache-2.0 */
/* From method and path to an operation, by the table. Paths are compared part by part; {name} takes any part. */
#include "api/api_impl.h"
#include "model/show.h"

#include <string.h>

#define ROOT "/v1"

/* The next part of a path, without its slash. */
static struct slice next_part(const char **at) {
    const char *begin = **at == '/' ? *at + 1 : *at;
    size_t len = strcspn(begin, "/");
    *at = begin + len;
    return (struct slice){begin, len};
}

static bool path_matches(const struct op *op, const char *path, struct route *ret) {
    const char *pattern = op->path;
    *ret = (struct route){.op = op};
    while (*pattern && *path) {
        struct slice wanted = next_part(&pattern), found = next_part(&path);
        if (wanted.ptr[0] != '{') {
            if (!slice_equal(wanted, found)) return false;
            continue;
        }
        if (!found.len) return false;
        ret->path_params[ret->path_param_count].name = wanted.ptr + 1; /* ends with the brace */
        ret->path_params[ret->path_param_count++].value = found;
    }
    return !*pattern && !*path;
}

static const char *add_allowed(struct arena *arena, const char *allowed, enum op_method method) {
    if (!allowed) return op_method_name(method);
    return arena_printf(arena, "%s, %s", allowed, op_method_name(method));
}

static int no_route(const char *path, struct err *err) {
    char shown[SHOW_SIZE];
    return err_set(err, ERR_NO_ROUTE, "there is nothing at %s", show_text(path, shown));
}

int route_find(const char *method, const char *path, struct arena *arena, struct route *ret, const char **ret_allow,
               struct err *err) {
    size_t root = sizeof(ROOT) - 1;
    *ret_allow = NULL;
    if (strncmp(path, ROOT "/", root + 1)) return no_route(path, err);

    const char *wanted = strcmp(method, "HEAD") ? method : "GET";
    for (enum op_id id = 0; id < OP_COUNT_; id++) {
        const struct op *op = op_get(id);
        if (op->scope == OP_ROBOT || !path_matches(op, path + root, ret)) continue;
        if (!strcmp(op_method_name(op->method), wanted)) return 0;
        *ret_allow = add_allowed(arena, *ret_allow, op->method);
    }
    if (!*ret_allow) return no_route(path, err);
    char shown[SHOW_SIZE];
    int r = err_set(err, ERR_METHOD, "%s does not take %s", path, show_text(method, shown));
    err_remedy(err, "Use %s", *ret_allow);
    return r;
}
