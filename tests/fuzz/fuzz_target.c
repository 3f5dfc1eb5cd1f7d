/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request target, as libmicrohttpd hands it over: text without NUL. What is taken is a path and arguments that are UTF-8 without
 * control bytes lost on the way; written with every byte escaped it is understood the same; what is refused says why.
 */
#include "fuzz.h"
#include "http/http_impl.h"

#include <string.h>

struct seen {
    struct str text;
    size_t count;
};

static int add_argument(void *ctx, const char *name, const char *value) {
    struct seen *seen = ctx;
    FUZZ_MUST(utf8_valid(name, strlen(name)) && utf8_valid(value, strlen(value)));
    str_printf(&seen->text, "[%zu:%s=%zu:%s]", strlen(name), name, strlen(value), value);
    seen->count++;
    return 0;
}

/* Path and arguments as one text, or nothing when the target is refused. */
static bool understand(const char *target, struct seen *ret) {
    struct http_request request = {0};
    struct err err = ERR_INIT;
    *ret = (struct seen){.text = STR_INIT};
    bool taken = request_begin(&request, target) && target_read(&request, &err) == 0;
    if (taken) {
        const char *path = http_path(&request);
        FUZZ_MUST(path[0] == '/' && utf8_valid(path, strlen(path)));
        str_printf(&ret->text, "%zu:%s", strlen(path), path);
        FUZZ_MUST(http_query_each(&request, add_argument, ret) == 0);
        FUZZ_MUST(ret->count <= ARGUMENTS_MAX);
    } else {
        FUZZ_MUST(err.code != ERR_NONE && err.message[0] && err.at[0]);
    }
    request_reset(&request);
    request_deinit(&request);
    return taken;
}

static void add_escaped(struct str *out, const char *target) {
    bool query = false;
    for (const char *p = target; *p; p++) {
        bool mark = (*p == '?' && !query) || (query && (*p == '&' || *p == '='));
        query |= *p == '?';
        if (mark || p == target)
            str_add_char(out, *p);
        else if (*p == '%')
            str_add(out, p, 3), p += 2;
        else if (*p == '+' && query)
            str_add_text(out, "%20");
        else
            str_printf(out, "%%%02x", (unsigned char)*p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(str_deinit) struct str text = STR_INIT, escaped = STR_INIT;
    struct seen first, again = {.text = STR_INIT};
    str_add(&text, (const char *)data, size);
    if (size == 0 || text.failed || strlen(text.data) != size) return 0;
    if (understand(text.data, &first)) {
        add_escaped(&escaped, text.data);
        FUZZ_MUST(understand(escaped.data, &again));
        FUZZ_MUST(strcmp(first.text.data, again.text.data) == 0);
    }
    str_deinit(&first.text);
    str_deinit(&again.text);
    return 0;
}
