/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests are built from the operation's own parameters: each gets the argument of the same name, at the place that the table of
 * operations gives it. A command needs code of its own only where its arguments are not the operation's.
 */
#include "base/jw.h"
#include "cli/cli_impl.h"

#include <string.h>

void url_add(struct str *out, const char *text) {
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
        if (plain) {
            str_add_char(out, (char)c);
            continue;
        }
        char code[] = {'%', digits[c >> 4], digits[c & 15]};
        str_add(out, code, sizeof(code));
    }
}

static const char *call_reason(struct cli *cli) {
    const char *given = args_get(&cli->args, "reason");
    return given ? given : arena_printf(&cli->arena, "from the command line by %s", cli->world->who);
}

/* One half of an agent@version argument. */
static const char *spec_part(struct cli *cli, const char *spec, bool want_version) {
    const char *at = strchr(spec, '@');
    if (want_version) return at ? at + 1 : "latest";
    return at ? arena_strndup(&cli->arena, spec, (size_t)(at - spec)) : spec;
}

/* The value for a parameter of the operation, or NULL. */
static const char *value_of(struct cli *cli, const struct op_param *param) {
    bool context = cli->context && !strcmp(param->name, "context");
    const char *value = context ? cli->context : args_get(&cli->args, param->name),
               *spec = args_get(&cli->args, "spec");
    bool version = !strcmp(param->name, "version");
    if (value) return value;
    if (spec && (version || !strcmp(param->name, "agent"))) return spec_part(cli, spec, version);
    if (param->required && !strcmp(param->name, "reason")) return call_reason(cli);
    return NULL;
}

/* An environment that was not said is the configured one, where the command says so. */
static int settle_environment(struct cli *cli, struct err *err) {
    const struct arg *args[COMMAND_ARGS_MAX];
    size_t count = command_args(cli->args.command, args);
    for (size_t i = 0; i < count; i++) {
        if (args[i]->kind != ARG_OWN_ENVIRONMENT || args_get(&cli->args, args[i]->param)) continue;
        if (cli->profile.environment) {
            cli->args.values[cli->args.count++] = (struct arg_value){args[i], cli->profile.environment};
        } else if (args[i]->count == ARG_ONE) {
            int r = err_set(err, ERR_USAGE, "say where: -e ENV");
            err_remedy(err, "Add -e production, or environment = \"production\" to ~/.config/serin/config.toml");
            return r;
        }
    }
    return 0;
}

/* An operation that takes a context gets all that the command line says of who asks. */
static int settle_context(struct cli *cli, const struct op *op, struct err *err) {
    _cleanup_(json_decrefp) json_t *context = NULL;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    cli->context = NULL;
    if (!op_param(op, "context")) return 0;
    int r = context_of_args(&cli->args, &context, err);
    if (r < 0) return r;
    if (json_compact(context, &text) < 0) return err_no_memory(err);
    cli->context = arena_strdup(&cli->arena, text.data);
    return cli->context ? 0 : err_no_memory(err);
}

static void add_path(struct cli *cli, const struct op *op, struct str *out) {
    str_add_text(out, "/v1");
    for (const char *p = op->path; *p;) {
        size_t len = strcspn(p, "{");
        str_add(out, p, len);
        p += len;
        if (!*p) break;
        size_t name_len = strcspn(p, "}");
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)name_len - 1, p + 1);
        const char *value = value_of(cli, op_param(op, name));
        url_add(out, value ? value : "");
        p += name_len + 1;
    }
}

static void add_query(struct str *out, char *separator, const char *name, const char *value) {
    str_add_char(out, *separator);
    *separator = '&';
    url_add(out, name);
    str_add_char(out, '=');
    url_add(out, value);
}

static void add_queries(struct cli *cli, const struct op *op, struct str *out, char *separator) {
    size_t count;
    const struct op_param *params = op_params(op, &count);
    for (size_t i = 0; i < count; i++) {
        if (params[i].where != PARAM_QUERY) continue;
        const char *value = value_of(cli, &params[i]);
        if (value) add_query(out, separator, params[i].name, value);
    }
}

static void add_member(struct cli *cli, const struct op_param *param, const char *value, struct jw *jw) {
    size_t index = 0;
    switch (param->type) {
    case PARAM_NUMBER:
    case PARAM_LIMIT:
        jw_raw(jw, param->name, slice_of(value));
        break;
    case PARAM_BOOL:
        jw_bool(jw, param->name, !strcmp(value, "true"));
        break;
    case PARAM_KEYS:
    case PARAM_NAMES:
    case PARAM_EVENTS:
        jw_array(jw, param->name);
        while ((value = args_next(&cli->args, param->name, &index)))
            jw_text(jw, NULL, value);
        jw_end_array(jw);
        break;
    case PARAM_OBJECT:
    case PARAM_LIST:
        jw_raw(jw, param->name, slice_of(value));
        break;
    default:
        jw_text(jw, param->name, value);
    }
}

/* The body when the operation takes one, or an empty string. */
static void add_body(struct cli *cli, const struct op *op, struct str *out) {
    size_t count, members = 0;
    const struct op_param *params = op_params(op, &count);
    struct jw jw = JW_INIT(out);
    for (size_t i = 0; i < count; i++)
        members += params[i].where == PARAM_BODY;
    if (!members) return;
    jw_object(&jw, NULL);
    for (size_t i = 0; i < count; i++) {
        const char *value = params[i].where == PARAM_BODY ? value_of(cli, &params[i]) : NULL;
        if (value) add_member(cli, &params[i], value, &jw);
    }
    jw_end_object(&jw);
}

static const char *call_path(struct cli *cli, const struct op *op, const char *path) {
    bool dry = op->kind == OP_CHANGE && args_on(&cli->args, "dry_run");
    return dry ? arena_printf(&cli->arena, "%s%cdry_run=true", path, strchr(path, '?') ? '&' : '?') : path;
}

int call_build(struct cli *cli, const struct op *op, struct call *ret, struct err *err) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    _cleanup_(str_deinit) struct str body = STR_INIT;
    char separator = '?';
    int r = settle_environment(cli, err);
    if (r == 0) r = settle_context(cli, op, err);
    if (r < 0) return r;
    add_path(cli, op, &path);
    add_queries(cli, op, &path, &separator);
    add_body(cli, op, &body);
    *ret = (struct call){.op = op};
    if (path.failed || body.failed) return err_no_memory(err);
    const char *kept = arena_strdup(&cli->arena, path.data);
    ret->path = kept ? call_path(cli, op, kept) : NULL;
    ret->body = body.len ? arena_strdup(&cli->arena, body.data) : NULL;
    return !ret->path || (body.len && !ret->body) ? err_no_memory(err) : 0;
}
